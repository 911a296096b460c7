package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func statusCommand(lab *folder) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what runs: state, pid and memory (PSS) of each component",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := printStatus(cmd.OutOrStdout(), *lab); err != nil {
				return fmt.Errorf("status: %w", err)
			}
			return nil
		},
	}
}

// printStatus needs no supervisor: the folder and /proc tell all.
func printStatus(out io.Writer, lab folder) error {
	l, err := lab.load()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CLUSTER\tCOMPONENT\tSTATE\tPID\tMEMORY\tADDRESS")
	if _, err := printProcess(w, "-", "supervisor", lab.supervisorPID(), string(lab)); err != nil {
		return err
	}
	if l.Proxy != 0 {
		fmt.Fprintf(w, "-\tnetwork between\t\t\t\tproxy http://127.0.0.1:%d\n", l.Proxy)
	}
	for _, c := range l.Clusters {
		if err := printCluster(w, lab.cluster(c.Name), c); err != nil {
			return err
		}
	}
	return w.Flush()
}

func printCluster(w io.Writer, f clusterFolder, c cluster) error {
	addresses := map[string]string{etcd: c.etcdURL(), kubeAPIServer: c.apiURL(), c.holder(): "proxy " + c.proxyURL()}
	var total int64
	for _, component := range c.components() {
		memory, err := printProcess(w, c.Name, component, f.pid(component), addresses[component])
		if err != nil {
			return err
		}
		total += memory
	}
	fmt.Fprintf(w, "%s\t(all)\t\t\t%d MB\t\n", c.Name, total>>20)
	return nil
}

func printProcess(w io.Writer, cluster, name, pidFile, address string) (memory int64, err error) {
	id, err := readIdent(pidFile)
	if err != nil {
		return 0, err
	}
	state := id.state()
	if state == dead {
		fmt.Fprintf(w, "%s\t%s\t%s\t\t\t%s\n", cluster, name, state, address)
		return 0, nil
	}
	memory, _ = id.memory() // it may have ended since
	fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d MB\t%s\n", cluster, name, state, id.pid, memory>>20, address)
	return memory, nil
}
