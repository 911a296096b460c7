package cli

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/enable"
)

// candidates are what a word could be completed to; none if they cannot be found out quickly.
type candidates func(ctx context.Context) []string

// words are fixed candidates.
func words(w ...string) candidates { return func(context.Context) []string { return w } }

// complete completes the value of a flag.
func complete(c *cobra.Command, flag string, from candidates) {
	_ = c.RegisterFlagCompletionFunc(flag, func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return ask(c, from)
	})
}

// completeArgs completes the arguments, each from its own candidates.
func completeArgs(c *cobra.Command, from ...candidates) {
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(from) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return ask(c, from[len(args)])
	}
}

// ask gives up early: somebody waits with a finger on the tab key.
func ask(c *cobra.Command, from candidates) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), 3*time.Second)
	defer cancel()
	return from(ctx), cobra.ShellCompDirectiveNoFileComp
}

// contexts of the kubeconfig.
func (h *hostFlags) contexts(context.Context) []string {
	config, err := readKubeconfig(h.kubeconfig)
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(config.Contexts))
}

// members of the federation.
func (h *hostFlags) members(ctx context.Context) []string {
	host, err := h.connect(ctx, quiet)
	if err != nil {
		return nil
	}
	var list fedv1.KubeFedClusterList
	if err := host.Client.List(ctx, &list, client.InNamespace(h.namespace)); err != nil {
		return nil
	}
	out := make([]string, len(list.Items))
	for i, c := range list.Items {
		out[i] = c.Name
	}
	return out
}

// typeConfigs are the names of the types that are enabled.
func (h *hostFlags) typeConfigs(ctx context.Context) []string {
	host, err := h.connect(ctx, quiet)
	if err != nil {
		return nil
	}
	var list fedv1.FederatedTypeConfigList
	if err := host.Client.List(ctx, &list, client.InNamespace(h.namespace)); err != nil {
		return nil
	}
	out := make([]string, len(list.Items))
	for i, c := range list.Items {
		out[i] = c.Name
	}
	return out
}

// types are the API types of the host that a filter lets through.
func (h *hostFlags) types(keep func(enable.Resource) bool) candidates {
	return func(ctx context.Context) []string {
		host, err := h.connect(ctx, quiet)
		if err != nil {
			return nil
		}
		all, err := discover(host, quiet)
		if err != nil {
			return nil
		}
		var out []string
		for _, r := range all {
			if r.Preferred && keep(r) {
				out = append(out, enable.NameOf(r.APIResource))
			}
		}
		return out
	}
}
