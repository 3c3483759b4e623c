"""The forms a report can take. A form is a module here, named as `--format` names it, with `render(report) -> str`."""

FORMATS = ("text", "json", "sarif", "junit", "github", "html")
