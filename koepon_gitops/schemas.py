"""Does the API server take this object? Core and custom kinds: fetched, pinned, compiled, asked.

`fetch` downloads the pinned definitions once and keeps each kind in a file of its own; `load` gives the Schemas of a
tree, to which the definitions the tree declares are added; a kind is compiled when its first object comes.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from pydantic import ValidationError

from koepon_gitops import coherence, core, crds, decoding, kubernetes, sentences, structure
from koepon_gitops.cache import key
from koepon_gitops.configuration import cache_directory
from koepon_gitops.errors import GitOpsError, UncheckableError
from koepon_gitops.model import Json, Problem, Value

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

PINS = Path(__file__).parent / "data" / "crds"
_INDEX = "index.json"


def fetch(progress: Callable[[str, int, int], None]) -> None:
    """Have the schemas of the pinned custom kinds in the cache; `progress(what, done, total)`, uncalled if they are.

    Raises UncheckableError: no `go`, no network, a wrong checksum, no room on the disk.
    """
    if ready():
        return
    from koepon_gitops import modules  # noqa: PLC0415 - needed for fetching only

    target = _directory()
    unpacked = list(modules.fetch(PINS, progress))
    files = [file for module, directory in unpacked for file in modules.files(module, directory)]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=target.parent))
        try:
            _compile(files, building, progress)
            building.chmod(0o755)
            _publish(building, target)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        raise UncheckableError(
            "schemas/cache",
            f"The schemas can't be kept: {error.strerror or error}.",
            where=str(target.parent),
            remedy="Make room, or name another folder in KOEPON_GITOPS_CACHE.",
        ) from error


def ready() -> bool:
    """Whether the pinned schemas are in the cache."""
    return (_directory() / _INDEX).is_file()


def _directory() -> Path:
    """One folder for each state of the pins and of the code that compiles them: nothing in it ever changes."""
    sources = [PINS / "go.mod", PINS / "go.sum", *(Path(__file__).with_name(f"{name}.py") for name in _COMPILERS)]
    return cache_directory() / "crds" / key(*(source.read_bytes() for source in sources))[:32]


_COMPILERS = ("crds", "structure")


def _compile(files: Sequence[Path], target: Path, progress: Callable[[str, int, int], None]) -> None:
    index: dict[str, dict[str, list[Any]]] = {}
    for done, file in enumerate(files, start=1):
        for definition in _definitions(file):
            for kind in crds.compiled(definition):
                name = f"{key(kind.apiVersion, kind.kind)[:24]}.json"
                index.setdefault(kind.apiVersion, {})[kind.kind] = [kind.plural, kind.namespaced, name]
                (target / name).write_bytes(orjson.dumps([kind.schema, kind.plan, kind.status]))
        if done % 50 == 0 or done == len(files):
            progress("Compiling the schemas", done, len(files))
    (target / _INDEX).write_bytes(orjson.dumps(index, option=orjson.OPT_SORT_KEYS))


def _definitions(file: Path) -> Iterator[dict[str, Any]]:
    """Generated files, alike in every dialect of YAML, and 50 MB of them: hence the fast parser, not `manifests`."""
    import yaml_rs  # noqa: PLC0415 - needed for fetching only

    try:
        read = yaml_rs.loads(file.read_text("utf-8"), parse_datetime=False)
    except (yaml_rs.YAMLDecodeError, UnicodeDecodeError) as error:
        raise UncheckableError(
            "schemas/unreadable", f"A pinned definition can't be read: {error}.", where=str(file)
        ) from error
    for content in read if isinstance(read, list) else [read]:
        if isinstance(content, dict) and content.get("kind") == "CustomResourceDefinition":
            yield content


def _publish(building: Path, target: Path) -> None:
    """Another process may have been faster: what it made is the same."""
    try:
        building.replace(target)
    except OSError:
        if not (target / _INDEX).is_file():
            raise


class Exemption(Value):
    """A kind without a published schema that is let through, by name, and why.

    `described`: a definition that we wrote ourselves, read from the file named there; objects have to be as it says.
    `plural` and `namespaced` are for policy matching.
    """

    apiVersion: str
    kind: str
    reason: str
    plural: str = ""
    namespaced: bool = True
    described: Json | None = None


def exemptions(file: Path) -> tuple[Exemption, ...]:
    """Read `policies/schemas.yaml`: {exempt: [{apiVersion, kind, reason}]}; none when it is not there."""
    from koepon_gitops import manifests  # noqa: PLC0415 - keeps YAML out of runs that need none

    if not file.is_file():
        return ()
    data = manifests.read_data(file.read_bytes(), file.name)
    try:
        return tuple(_with_description(each, file.parent) for each in _Exemptions.model_validate(data or {}).exempt)
    except ValidationError as error:
        raise UncheckableError(
            "schemas/exemptions",
            f"{file.name} is not a list of exemptions: {error.errors()[0]['msg']}.",
            where=file.name,
            remedy="Write `exempt:` with entries of apiVersion, kind and reason.",
        ) from error


class _Written(Value):
    apiVersion: str
    kind: str
    reason: str
    plural: str = ""
    namespaced: bool = True
    described: str = ""


class _Exemptions(Value):
    exempt: tuple[_Written, ...] = ()


def _with_description(written: _Written, folder: Path) -> Exemption:
    from koepon_gitops import manifests  # noqa: PLC0415 - as above

    if not written.described:
        return Exemption(**written.model_dump(exclude={"described"}))
    file = folder / written.described
    if file.is_symlink() or not file.resolve().is_relative_to(folder.resolve()) or not file.is_file():
        raise _undescribed(written, "has to be an ordinary file beside it")
    definition = manifests.read_data(file.read_bytes(), written.described)
    kinds = [(each.apiVersion, each.kind) for each in _declared_kinds(definition)] if definition else []
    if (written.apiVersion, written.kind) not in kinds:
        raise _undescribed(written, f"does not define {written.kind} ({written.apiVersion})")
    return Exemption(**{**written.model_dump(), "described": definition})


def _undescribed(written: _Written, what: str) -> UncheckableError:
    return UncheckableError(
        "schemas/exemptions",
        f"{written.described}, by which {written.kind} is described, {what}.",
        where=written.described,
        remedy="Write a CustomResourceDefinition of that kind there, or leave `described` out.",
    )


def load(definitions: Iterable[Json] = (), *, exempt: Iterable[Exemption] = ()) -> "Schemas":
    """The schemas of a tree. `definitions`: the CustomResourceDefinitions and CompositeResourceDefinitions it declares;
    one that is malformed is a finding of its own and adds nothing. Raises UncheckableError when nothing was fetched."""
    if not ready():
        raise UncheckableError(
            "schemas/missing",
            "The schemas of custom resources have not been fetched.",
            remedy="Run `python -m koepon_gitops schemas fetch`.",
        )
    return Schemas(_directory(), tuple(definitions), tuple(exempt))


class _Compiled(NamedTuple):
    """A kind ready to be asked. `check` is what the schema can't say; the schema has accepted what it is given."""

    validator: "Draft202012Validator"
    schema: dict[str, Any]
    custom: bool
    check: Callable[[Json], Iterable[Problem]] | None


class Schemas:
    """All kinds a tree may use: those of Kubernetes, those fetched, those it declares itself."""

    def __init__(self, directory: Path, definitions: tuple[Json, ...], exempt: tuple[Exemption, ...]) -> None:
        self._directory = directory
        self._exempt = {(each.apiVersion, each.kind): each for each in exempt}
        self._definitions = definitions
        self._compiled: dict[tuple[str, str], _Compiled] = {}

    @cached_property
    def digest(self) -> str:
        """Changes when any verdict could."""
        own = [each.described for _, each in sorted(self._exempt.items())]
        declared = orjson.dumps([self._definitions, own], option=orjson.OPT_SORT_KEYS)
        files = [
            *sorted(Path(__file__).with_name("coherence").glob("*.py")),
            *(Path(__file__).with_name(f"{name}.py") for name in ("decoding", "sentences")),
        ]
        sources = [file.read_bytes() for file in files]
        return key(self._directory.name, core.digest(), declared, repr(sorted(self._exempt)), *sources)

    def validate(self, content: Json) -> tuple[Problem, ...]:
        """Everything the API server would object to, in the order of the fields; empty when it would take the object.

        Raises UncheckableError when the kind is not known and not exempt.
        """
        version, kind = content.get("apiVersion", ""), content.get("kind", "")
        if (version, kind) in self._exempt and not self.knows(version, kind):
            return ()
        compiled = self._compiled_of(version, kind)
        return self._problems(compiled, decoding.held(content, compiled.schema) if compiled.custom else content, kind)

    def _problems(self, compiled: _Compiled, content: Json, kind: str) -> tuple[Problem, ...]:
        """Unknown fields first and by themselves: the rest is judged without them, as the API server does."""
        if compiled.validator.is_valid(content):
            return tuple(compiled.check(content)) if compiled.check else ()
        errors = list(compiled.validator.iter_errors(content))
        if not (unknown := sentences.unknown(errors)):
            return sentences.problems(errors, compiled.schema, kind)
        strange = sentences.problems(unknown.values(), compiled.schema, kind)
        rest = self._problems(compiled, decoding.without(content, unknown), kind)
        return tuple(sorted((*strange, *rest), key=lambda each: (each.field, each.message)))

    def held(self, content: Json) -> Json:
        """The object as policies see it, once the API server has decoded it; of an exempt kind, as it is."""
        version, kind = content["apiVersion"], content["kind"]
        if not self.knows(version, kind):
            return content
        return decoding.held(content, self._compiled_of(version, kind).schema)

    def is_namespaced(self, api_version: str, kind: str) -> bool:
        """Whether objects of the kind live in a namespace. Raises UncheckableError for a kind that is not known."""
        return bool(self._entry(api_version, kind)[1])

    def plural(self, api_version: str, kind: str) -> str:
        """The resource's name in URLs and policies, such as `deployments`. Raises UncheckableError as above."""
        return str(self._entry(api_version, kind)[0])

    def knows(self, api_version: str, kind: str) -> bool:
        """Whether there is a schema of this kind."""
        return any(kind in table.get(api_version, {}) for table in self._tables)

    def _compiled_of(self, version: str, kind: str) -> _Compiled:
        if (version, kind) not in self._compiled:
            self._compiled[version, kind] = self._compile(version, kind)
        return self._compiled[version, kind]

    def status(self, api_version: str, kind: str) -> Json:
        """The structural schema of the `status` of a custom kind; empty for all others."""
        for own in (self._declared, self._described):
            if entry := own.get(api_version, {}).get(kind):
                return dict(entry[4])
        if entry := self._fetched.get(api_version, {}).get(kind):
            return dict(orjson.loads((self._directory / entry[2]).read_bytes())[2])
        return {}

    def _compile(self, version: str, kind: str) -> _Compiled:
        import jsonschema_rs  # noqa: PLC0415 - 30 ms that runs answered from the cache save

        schema, check = self._source(version, kind)
        try:
            validator = jsonschema_rs.Draft202012Validator(
                schema, validate_formats=True, pattern_options=jsonschema_rs.RegexOptions(), offline=True
            )
        except (ValueError, jsonschema_rs.ValidationError) as error:
            raise UncheckableError(
                "schemas/unusable",
                f"The schema of {kind} ({version}) can't be used: {error}.",
                remedy="Correct its CustomResourceDefinition.",
            ) from error
        return _Compiled(validator, schema, kind not in core.resources().get(version, {}), check)

    def _source(self, version: str, kind: str) -> tuple[dict[str, Any], Callable[[Json], Iterable[Problem]] | None]:
        entry = self._entry(version, kind)
        if kind in core.resources().get(version, {}):
            return core.schema(entry[2]), coherence.check_of(entry[2])
        if len(entry) > 3:
            schema, plan = entry[2], entry[3]
        else:
            schema, plan, _ = orjson.loads((self._directory / entry[2]).read_bytes())
        schema = {"allOf": [schema, kubernetes.metadata()], "$defs": core.schema(core.OBJECT_META)["$defs"]}
        return schema, (lambda content: structure.problems(plan, content)) if plan else None

    def _entry(self, version: str, kind: str) -> list[Any]:
        """[plural, namespaced, file of the schema] of a kind, or [plural, namespaced, schema, plan, status]."""
        for table in self._tables:
            if entry := table.get(version, {}).get(kind):
                return entry
        if exempt := self._exempt.get((version, kind)):
            return [exempt.plural or f"{kind.lower()}s", exempt.namespaced]
        raise UncheckableError(
            "schemas/unknown-kind",
            f"There is no schema of {kind} ({version}).",
            remedy="Correct apiVersion and kind, or commit its CustomResourceDefinition, "
            "or list the kind with a reason in policies/schemas.yaml.",
        )

    @cached_property
    def _tables(self) -> tuple[Mapping[str, Mapping[str, list[Any]]], ...]:
        return core.resources(), self._declared, self._fetched, self._described

    @cached_property
    def _declared(self) -> dict[str, dict[str, list[Any]]]:
        return _table(self._definitions)

    @cached_property
    def _described(self) -> dict[str, dict[str, list[Any]]]:
        return _table(each.described for each in self._exempt.values() if each.described)

    @cached_property
    def _fetched(self) -> dict[str, dict[str, list[Any]]]:
        table: dict[str, dict[str, list[Any]]] = orjson.loads((self._directory / _INDEX).read_bytes())
        return table


def _table(definitions: Iterable[Json]) -> dict[str, dict[str, list[Any]]]:
    table: dict[str, dict[str, list[Any]]] = {}
    for definition in definitions:
        for kind in _declared_kinds(definition):
            table.setdefault(kind.apiVersion, {})[kind.kind] = [
                kind.plural, kind.namespaced, kind.schema, kind.plan, kind.status
            ]  # fmt: skip
    return table


def _declared_kinds(definition: Json) -> Iterator[crds.Kind]:
    try:
        made = [definition]
        if definition.get("kind") == "CompositeResourceDefinition":
            made = list(crds.of_composite(definition))
        yield from [kind for crd in made for kind in crds.compiled(crd)]
    except (KeyError, TypeError, AttributeError, ValueError, GitOpsError):
        return
