package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

type resumeFlags struct {
	hostFlags
	accept bool
}

func resumeVerb(s Streams) *cobra.Command {
	var f resumeFlags
	c := &cobra.Command{
		Use:   "resume",
		Short: "Let a control plane go on that has stopped removing anything",
		Long: "Let a control plane go on that has stopped removing anything, because the host knows less than its members have seen of it: its etcd\n" +
			"was restored from a backup. What was wanted since is lost in the host, and still in the members.\n\n" +
			"Before you accept that, declare again what is missing, or restore a newer backup: then nothing is lost, and nothing needs accepting.\n" +
			"After it, the host's state counts: copies become what it says, leave the members that it excludes, and copies whose federated objects\n" +
			"it does not know are released: they stay in the members without the marks of the federation.",
		Example: "  # Accept the state of a restored host\n  kubefedctl resume --accept-host-rollback --host-cluster-context global",
		Args:    needs(),
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c, s) },
	}
	f.add(c)
	c.Flags().BoolVar(&f.accept, "accept-host-rollback", false, "the state of the host counts, although members have seen a newer one")
	return c
}

func (f *resumeFlags) run(c *cobra.Command, s Streams) error {
	host, err := f.connect(c.Context(), s)
	if err != nil {
		return err
	}
	config, err := join.ReadConfig(c.Context(), host, f.namespace)
	if err != nil {
		return err
	}
	revision := config.Annotations[fedv1.HostRollbackAnnotation]
	switch {
	case revision == "":
		fmt.Fprintln(s.Out, "Nothing is held: the host is not behind its members.")
		return nil
	case !f.accept:
		return fail.HostBehind.New("members have seen revision %s of %s, which it does not have any more: nothing is removed", revision, host.At()).
			Try("declare again what is missing, then kubefedctl resume --accept-host-rollback")
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": config.ResourceVersion,
		"annotations":     map[string]any{fedv1.AcceptHostRollbackAnnotation: revision},
	}})
	if err != nil {
		return err
	}
	if err := f.dryRun.Writer(host.Client).Patch(c.Context(), config, client.RawPatch(types.MergePatchType, body)); err != nil {
		return fail.API(host.At(), "annotate KubeFedConfig "+f.namespace+"/"+fedv1.ConfigName, err)
	}
	fmt.Fprintf(s.Out, "The state of the host counts, although members have seen up to revision %s%s\n", revision, f.dryRun.Suffix())
	return nil
}
