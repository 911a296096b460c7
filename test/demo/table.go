package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// clusters of the demo, the host first.
var clusters = []string{"global", "business"}

// shown are the kinds in the table.
const shown = "namespaces,secrets,deployments.apps,services"

// table prints what each cluster now holds of the federation.
func (s *stage) table(ctx context.Context) error {
	cells := map[string]map[string]string{}
	for _, c := range clusters {
		held, err := s.held(ctx, c)
		if err != nil {
			return err
		}
		for name, what := range held {
			if cells[name] == nil {
				cells[name] = map[string]string{}
			}
			cells[name][c] = what
		}
	}
	if len(cells) == 0 {
		return nil
	}
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "  OBJECT\t%s\n", strings.ToUpper(strings.Join(clusters, "\t")))
	names := make([]string, 0, len(cells))
	for name := range cells {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "  %s", name)
		for _, c := range clusters {
			fmt.Fprintf(w, "\t%s", cell(cells[name][c]))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func cell(what string) string {
	if what == "" {
		return "-"
	}
	return what
}

// object is what the table needs of any kind.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Data     map[string]string
	Spec     struct {
		Replicas int
		Template struct {
			Spec struct{ Containers []struct{ Image string } }
		}
		Ports []struct{ Port, NodePort int }
	}
	Status struct{ ReadyReplicas int }
}

func (s *stage) held(ctx context.Context, cluster string) (map[string]string, error) {
	var out bytes.Buffer
	cmd := s.command(ctx, "kubectl --context "+cluster+" get "+shown+" -A -l kubefed.io/managed=true -o json")
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("look into %s: %w", cluster, err)
	}
	var list struct{ Items []object }
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		return nil, fmt.Errorf("look into %s: %w", cluster, err)
	}
	held := make(map[string]string, len(list.Items))
	for _, o := range list.Items {
		name := strings.ToLower(o.Kind) + " " + o.Metadata.Name
		if o.Metadata.Namespace != "" {
			name = strings.ToLower(o.Kind) + " " + o.Metadata.Namespace + "/" + o.Metadata.Name
		}
		held[name] = o.summary()
	}
	return held, nil
}

func (o object) summary() string {
	switch {
	case o.Kind == "Deployment" && len(o.Spec.Template.Spec.Containers) > 0:
		return fmt.Sprintf("%d/%d %s", o.Status.ReadyReplicas, o.Spec.Replicas, o.Spec.Template.Spec.Containers[0].Image)
	case o.Kind == "Secret":
		return "password " + o.Data["password"]
	case o.Kind == "Service" && len(o.Spec.Ports) > 0:
		return fmt.Sprintf("port %d, node port %d", o.Spec.Ports[0].Port, o.Spec.Ports[0].NodePort)
	default:
		return "there"
	}
}
