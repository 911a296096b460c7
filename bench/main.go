// Command bench measures what the federation costs beside the least that it could cost: in one run, on real clusters, the same client
// code writes the same objects straight to the members (raw), to the host and the members with one status write (raw+host+status),
// and to the host alone, from where Hansa takes them (hansa). Read the ratios: times differ by machine and by what else it does.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
)

type options struct {
	n, members, workers, latency int
	kinds                        string
	json, profiles               string
}

func main() {
	var o options
	flag.IntVar(&o.n, "n", 1000, "objects in a burst")
	flag.IntVar(&o.members, "members", 2, "member clusters")
	flag.IntVar(&o.workers, "workers", 16, "requests that the driver has under way at the same time, in each cluster")
	flag.IntVar(&o.latency, "latency", 100, "objects in the test of one at a time")
	flag.StringVar(&o.kinds, "kinds", "ConfigMap,Secret,Deployment", "kinds to measure")
	flag.StringVar(&o.json, "json", "", "write the results to this file as JSON")
	flag.StringVar(&o.profiles, "profiles", "", "write CPU and allocation profiles of the manager in each test to this folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	f, err := build(ctx, o)
	if err != nil {
		return err
	}
	defer f.clear()
	var results []result
	for name := range strings.SplitSeq(o.kinds, ",") {
		k, ok := kinds[name]
		if !ok {
			return fmt.Errorf("kind %q is not known: use ConfigMap, Secret or Deployment", name)
		}
		got, err := f.measure(ctx, k, o)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		results = append(results, got...)
		print(got)
	}
	if o.json == "" {
		return nil
	}
	data, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, data, 0o644) //nolint:gosec // results are no secret
}

// result is one row.
type result struct {
	Kind, Test, Way string
	Objects         int
	// Seconds for all objects, or, one at a time, at the 50th and 99th percentile.
	Seconds, P50, P99 float64 `json:",omitempty"`
	// HostWrites and MemberWrites are requests per object, the driver's own left out; MemberReads are without lists and watches.
	HostWrites, MemberWrites, MemberReads float64
	// CPU seconds of the manager, and its resident memory in MiB afterwards.
	CPU, RSS float64 `json:",omitempty"`
	// Ratio to raw+host+status of the same test; one at a time to raw.
	Ratio float64 `json:",omitempty"`
}

func print(rows []result) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "kind\ttest\tway\tobjects/s\tratio\tp50 ms\tp99 ms\thost writes\tmember writes\tmember reads\tCPU ms/object\tRSS MiB\t")
	for _, r := range rows {
		rate := "-"
		if r.Seconds > 0 {
			rate = fmt.Sprintf("%.0f", float64(r.Objects)/r.Seconds)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%.2f\t%.2f\t%s\t%s\t\n", r.Kind, r.Test, r.Way, rate, number(r.Ratio, "%.2f"),
			number(r.P50*1000, "%.1f"), number(r.P99*1000, "%.1f"), r.HostWrites, r.MemberWrites, r.MemberReads,
			number(r.CPU*1000/float64(max(r.Objects, 1)), "%.2f"), number(r.RSS, "%.0f"))
	}
	w.Flush()
}

func number(v float64, format string) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}
