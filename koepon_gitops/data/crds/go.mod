// The custom resource definitions that objects are checked against: one module a line, at the version our clusters run,
// and behind it the files to take. `go.sum` holds their checksums; koepon_gitops/modules.py says how to change a version.
module koepon.com/gitops/crds

go 1.21

require (
	github.com/argoproj/argo-cd/v3 v3.5.7 // manifests/crds/*.yaml
	github.com/argoproj/argo-rollouts v1.9.2 // manifests/crds/*.yaml
	github.com/crossplane/crossplane/v2 v2.3.4 // cluster/crds/*.yaml
	github.com/external-secrets/external-secrets v1.3.2 // config/crds/bases/*.yaml
	github.com/kubernetes-sigs/aws-load-balancer-controller v0.0.0-20260423195125-93ff3b5fdaad // config/crd/bases/*.yaml config/crd/gateway/gateway.k8s.aws_*.yaml config/crd/aga/aga.k8s.aws_*.yaml
	github.com/prometheus-operator/prometheus-operator v0.85.0 // example/prometheus-operator-crd/*.yaml
	github.com/upbound/provider-aws/v2 v2.5.0 // package/crds/*aws.m.upbound.io_*.yaml
	sigs.k8s.io/karpenter v1.13.0 // pkg/apis/crds/*.yaml
)
