"""Keeps a GitOps repository of Argo CD Applications, Kustomize overlays and Crossplane claims honest.

Run it as `python -m koepon_gitops`: it validates, promotes and rolls back. `docs/decisions.md` says why it is as it is.
"""
