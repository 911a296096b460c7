package main

import "context"

// scene is one step of the walkthrough: what is typed, and what is true afterwards.
type scene struct {
	title   string
	lines   []string
	effects []effect
	// act is what else happens; nil is nothing.
	act func(context.Context) error
	// shows says that what the clusters now hold is shown.
	shows bool
}

// effect is something that a command prints once it is true.
type effect struct {
	what string
	// command is run until what it prints is want; an empty want is anything at all.
	command string
	want    string
}

// holds says that a member holds an object with a value at a path.
func holds(what, cluster, namespace, object, path, want string) effect {
	return effect{what: what, command: "kubectl --context " + cluster + " -n " + namespace + " get " + object + " -o jsonpath={" + path + "}", want: want}
}

const ready = `kubectl -n kube-federation-system get kubefedclusters -o jsonpath='{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}'`

var walkthrough = []scene{
	{
		title: "Prepare: two clusters, and the control plane in the host",
		lines: []string{
			"hansa-lab up --clusters global,business --nodes 1 --answer",
			"kubefedctl init --host-cluster-context global",
			"hansa manager --context global --xds-addr 127.0.0.1:$XDS_PORT --xds-insecure &",
		},
		effects: []effect{{
			"the default types run", `kubectl -n kube-federation-system get federatedtypeconfigs -o jsonpath='{.items[*].status.propagationController}'`,
			"Running Running Running Running Running Running Running Running Running Running",
		}},
	},
	{
		title: "Join",
		lines: []string{
			"kubefedctl join business --cluster-context business --host-cluster-context global --v=2",
			"kubefedctl join global --cluster-context global --host-cluster-context global --v=2",
		},
		effects: []effect{{"both clusters are ready", ready, "business=True global=True "}},
	},
	{
		title: "Types",
		lines: []string{
			"kubefedctl enable --host-cluster-context global deployments.apps",
			"kubectl -n kube-federation-system get federatedtypeconfigs",
		},
	},
	{
		title: "Federate a resource",
		lines: []string{
			"kubectl create namespace test",
			"kubectl apply -f examples/walkthrough/mysecret.yaml",
			"kubefedctl federate secrets mysecret -n test --host-cluster-context global",
		},
		effects: []effect{{
			"nothing goes to business, and the status says why",
			`kubectl -n test get federatedsecret mysecret -o jsonpath='{.status.conditions[?(@.type=="Propagation")].status} {.status.conditions[?(@.type=="Propagation")].reason}'`,
			"False NamespaceNotFederated",
		}},
	},
	{
		title: "Federate the namespace",
		shows: true,
		lines: []string{"kubefedctl federate namespace test --host-cluster-context global"},
		effects: []effect{
			{"the status lists both clusters", "kubectl -n test get federatedsecret mysecret -o jsonpath={.status.clusters[*].name}", "business global"},
			holds("business holds the secret", "business", "test", "secret/mysecret", ".data.username", "YWRtaW4="),
		},
	},
	{
		title: "Create the federated resource directly",
		shows: true,
		lines: []string{"kubectl apply -f examples/walkthrough/federatedsecret.yaml"},
		effects: []effect{
			holds("global holds it", "global", "test", "secret/mysecret2", ".data.password", "MWYyZDFlMmU2N2Rm"),
			holds("business holds it", "business", "test", "secret/mysecret2", ".data.password", "MWYyZDFlMmU2N2Rm"),
		},
	},
	{
		title: "Deletion, and deletion that leaves the copies",
		shows: true,
		lines: []string{
			"kubectl delete federatedsecrets mysecret2 -n test",
			"kubefedctl orphaning-deletion enable federatedsecrets mysecret -n test --host-cluster-context global",
			"kubectl delete federatedsecrets mysecret -n test",
		},
		effects: []effect{
			{"mysecret2 is gone, mysecret stays, in business", "kubectl --context business -n test get secrets -o name", "secret/mysecret"},
			{"and in global", "kubectl --context global -n test get secrets -o name", "secret/mysecret"},
		},
	},
	{
		title: "A different configuration per cluster",
		shows: true,
		lines: []string{"kubectl apply -f examples/walkthrough/fed-ns-1.yaml"},
		effects: []effect{
			holds("global runs 2 of the first image", "global", "fed-ns-1", "deployment/test-deployment", ".status.availableReplicas} {.spec.template.spec.containers[0].image", "2 nginx:1.16.1"),
			holds("business runs 3 of the second", "business", "fed-ns-1", "deployment/test-deployment", ".status.availableReplicas} {.spec.template.spec.containers[0].image", "3 nginx:1.17.0-alpine"),
			holds("global has the first password", "global", "fed-ns-1", "secret/mysecret", ".data.password", "MWYyZDFlMmU2N2Rm"),
			holds("business has its own", "business", "fed-ns-1", "secret/mysecret", ".data.password", "MTIxMzI4dTI5NDczMjQ3"),
		},
	},
	{
		title: "Access",
		shows: true,
		lines: []string{
			"kubectl apply -f examples/walkthrough/test-service.yaml",
			"kubectl -n fed-ns-1 wait --for=condition=Ready federatedservice/test-service federateddeployment/test-deployment --timeout=60s",
		},
		effects: []effect{
			holds("global serves it at a node port of its own", "global", "fed-ns-1", "service/test-service", ".spec.type} {.spec.ports[0].port", "NodePort 80"),
			holds("business as well", "business", "fed-ns-1", "service/test-service", ".spec.type} {.spec.ports[0].port", "NodePort 80"),
			holds("the service finds the pods of global", "global", "fed-ns-1", "endpoints/test-service", ".subsets[0].ports[0].port", "80"),
		},
	},
}
