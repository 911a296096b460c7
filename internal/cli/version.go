package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/version"
)

func versionVerb(s Streams) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  kubefedctl version\n  kubefedctl version -o json",
		Args:    needs(),
		RunE:    func(*cobra.Command, []string) error { return printVersion(output, s) },
	}
	c.Flags().StringVarP(&output, "output", "o", "", `print as "yaml" or "json"`)
	complete(c, "output", words("yaml", "json"))
	return c
}

func printVersion(output string, s Streams) error {
	v := version.Current()
	var data []byte
	var err error
	switch output {
	case "":
		fmt.Fprintln(s.Out, "kubefedctl version:", v)
		return nil
	case "json":
		data, err = json.MarshalIndent(v, "", "  ")
	case "yaml":
		data, err = yaml.Marshal(v)
	default:
		return fail.BadUsage.New("Invalid value for --output: %s", output).Try("use yaml or json")
	}
	if err != nil {
		return fmt.Errorf("print the version: %w", err)
	}
	fmt.Fprintln(s.Out, string(data))
	return nil
}
