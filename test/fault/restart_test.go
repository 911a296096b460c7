package fault

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hansa-io/hansa/internal/lab"
)

// TestARestartWritesNothing: a control plane that finds everything as it left it writes to its Lease and to nothing else, whether it
// was stopped or killed.
func TestARestartWritesNothing(t *testing.T) {
	f := federate(t)
	for _, name := range []string{"a", "b", "c"} {
		f.createsMap(name, "x", "m1", "m2")
	}
	f.creates("Deployment", "web", deployment(2, "m1", "m2"))
	f.creates("Service", "web", service("m1", "m2"))
	f.createsMap("nowhere", "x")
	for _, name := range []string{"a", "b", "c"} {
		f.says(soon, "ConfigMap", name, "m2", "")
	}
	f.reasons(soon, "Deployment", "web", "Progressing") // its clusters have no nodes
	f.reasons(soon, "Service", "web", "Propagated")
	f.reasons(soon, "ConfigMap", "nowhere", "Propagated")
	for name, end := range map[string]func(){"killed": f.kill, "stopped": f.stop} {
		t.Run(name, func(t *testing.T) {
			rests(f, 3*time.Second)
			var marks, watches []mark
			for _, c := range []string{"host", "m1", "m2"} {
				marks = append(marks, record(t, c, writes))
				watches = append(watches, record(t, c, func(r lab.Request) bool {
					return ofHansa(r) && r.Verb == "watch" && containsAny(r.Resource, "configmaps", "deployments", "services")
				}))
			}
			end()
			f.restart()
			f.eventually(soon, "the new process to watch", func(context.Context) error {
				for _, w := range watches {
					if len(w.since()) < 3 {
						return errors.New(w.cluster + " is not watched yet")
					}
				}
				return nil
			})
			rests(f, 3*time.Second)
			for _, m := range marks {
				m.none("after a restart with nothing changed")
			}
			f.setsValue("a", name) // and it is at work
			f.holds(soon, f.m1, "a", name)
		})
	}
}

// deployment is the spec of a FederatedDeployment.
func deployment(replicas int, members ...string) fields {
	app := fields{"app": "web"}
	return fields{"placement": placedIn(members...), "template": fields{"spec": fields{
		"replicas": replicas, "selector": fields{"matchLabels": app},
		"template": fields{
			"metadata": fields{"labels": app},
			"spec":     fields{"containers": []any{fields{"name": "web", "image": "never-pulled"}}},
		},
	}}}
}

// service is the spec of a FederatedService that takes node ports.
func service(members ...string) fields {
	return fields{"placement": placedIn(members...), "template": fields{"spec": fields{
		"type": "NodePort", "selector": fields{"app": "web"},
		"ports": []any{fields{"name": "http", "port": int64(80), "protocol": "TCP"}},
	}}}
}
