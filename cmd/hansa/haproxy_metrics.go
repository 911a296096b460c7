package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hansa-io/hansa/internal/discovery/haproxy/drive"
	"github.com/hansa-io/hansa/internal/discovery/haproxy/feed"
)

// tellBalancer listens at an address and returns what serves there: metrics, and whether HAProxy runs what is wanted. "0" is off.
func tellBalancer(address string, d *drive.Driver, c *feed.Client) (func(context.Context), error) {
	if address == "0" {
		return func(context.Context) {}, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: --metrics-addr: %w", errBalancer, err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(balancerMetrics(d.Stats, c.Stats)...)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		// That the control plane is away is no reason to send clients elsewhere.
		if !d.Stats().Up {
			http.Error(w, "HAProxy does not answer", http.StatusServiceUnavailable)
		}
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return func(ctx context.Context) {
		stop := context.AfterFunc(ctx, func() { _ = s.Close() })
		defer stop()
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			<-ctx.Done() // there are no metrics; HAProxy is driven all the same
		}
	}, nil
}

func balancerMetrics(d func() drive.Stats, c func() feed.Stats) []prometheus.Collector {
	counter := func(name, help string, value func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "kubefed_haproxy_" + name, Help: help}, func() float64 { return float64(value()) })
	}
	gauge := func(name, help string, value func() bool) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kubefed_haproxy_" + name, Help: help}, func() float64 {
			if value() {
				return 1
			}
			return 0
		})
	}
	return []prometheus.Collector{
		gauge("up", "1 if HAProxy answered last time.", func() bool { return d().Up }),
		gauge("current", "1 if HAProxy runs what the control plane wants.", func() bool { return d().Current }),
		gauge("connected", "1 if the control plane is connected.", func() bool { return c().Connected }),
		counter("commands_total", "Commands sent to the running HAProxy.", func() uint64 { return d().Commands }),
		counter("command_errors_total", "Commands that it refused.", func() uint64 { return d().CommandErrors }),
		counter("reloads_total", "Reloads, for new listeners, routes or services.", func() uint64 { return d().Reloads }),
		counter("reload_errors_total", "Configurations that HAProxy did not take; it goes on with the one before.", func() uint64 { return d().ReloadErrors }),
		counter("xds_responses_total", "Answers of the control plane.", func() uint64 { return c().Received }),
		counter("xds_rejections_total", "Those that could not be used in part or as a whole.", func() uint64 { return c().Refused }),
	}
}
