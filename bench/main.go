// Command bench measures what the federation costs beside the least that it could cost: in one run, on real clusters, the same client
// code writes the same objects straight to the members (raw), to the host and the members with one status write (raw+host+status),
// and to the host alone, from where Hansa takes them (hansa). Read the ratios: times differ by machine and by what else it does.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

type options struct {
	n, members, workers, latency, rounds int
	kinds, ways, tests                   string
	trouble                              bool
	json, profiles                       string
}

func main() {
	var o options
	flag.IntVar(&o.n, "n", 1000, "objects in a burst")
	flag.IntVar(&o.members, "members", 2, "member clusters")
	flag.IntVar(&o.workers, "workers", 16, "requests that the driver has under way at the same time, in each cluster")
	flag.IntVar(&o.latency, "latency", 100, "objects in the tests of one at a time")
	flag.IntVar(&o.rounds, "rounds", 1, "how often everything is measured; medians are printed")
	flag.StringVar(&o.kinds, "kinds", "ConfigMap,Secret,Deployment", "kinds to measure")
	flag.StringVar(&o.ways, "ways", strings.Join([]string{raw, least, hansa}, ","), "ways to bring objects to the members")
	flag.StringVar(&o.tests, "tests", "create,update,repair,idle,restart,delete,one", "tests of the federation, in this order whatever the order here")
	flag.BoolVar(&o.trouble, "trouble", true, "measure with one more member that is healthy, dead, hung, slow, too (the first kind only)")
	flag.StringVar(&o.json, "json", "", "write the results to this file as JSON")
	flag.StringVar(&o.profiles, "profiles", "", "write CPU profiles of the manager, the host and a member, and what the manager allocates, in each test to this folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	var list []kind
	for name := range strings.SplitSeq(o.kinds, ",") {
		k, ok := kinds[name]
		if !ok {
			return fmt.Errorf("kind %q is not known: use ConfigMap, Secret or Deployment", name)
		}
		list = append(list, k)
	}
	f, err := build(ctx, o)
	if err != nil {
		return err
	}
	defer f.clear()
	rows, err := f.rounds(ctx, o, list)
	if err != nil {
		return err
	}
	if err := table(os.Stdout, rows); err != nil {
		return err
	}
	if o.json == "" {
		return nil
	}
	return record(o.json, o, rows)
}

// rounds measures all kinds, so many times.
func (f *federation) rounds(ctx context.Context, o options, list []kind) ([]result, error) {
	rounds := make([][]result, o.rounds)
	for n := range rounds {
		for _, k := range list {
			got, err := f.measure(ctx, k, o)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k.name, err)
			}
			rounds[n] = append(rounds[n], got...)
		}
	}
	rows := medians(rounds)
	if o.trouble {
		got, err := f.trouble(ctx, list[0], o)
		if err != nil {
			return nil, fmt.Errorf("with a member in trouble: %w", err)
		}
		rows = append(rows, got...)
	}
	return ratios(rows), nil
}
