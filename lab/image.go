package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// loadImage gives the node that runs as pid the image in an OCI archive.
func loadImage(ctx context.Context, programs string, pid int, archive io.Reader) error {
	ctr := insideCommand(ctx, pid, filepath.Join(programs, "ctr"), "--namespace=k8s.io", "images", "import", "--local", "-")
	ctr.Stdin = archive
	out, err := ctr.CombinedOutput()
	if err != nil {
		return fmt.Errorf("load image: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// pauseLoaded waits for containerd in the only way that counts: it takes an image.
func pauseLoaded(c cluster, pid int) probe {
	return func(ctx context.Context) error {
		archive, err := os.Open(filepath.Join(c.Real.Programs, pauseImage))
		if err != nil {
			return err
		}
		defer archive.Close()
		return loadImage(ctx, c.Real.Programs, pid, archive)
	}
}

func imageCommand(lab *folder) *cobra.Command {
	root := &cobra.Command{Use: "image", Short: "Images of real nodes"}
	root.AddCommand(&cobra.Command{
		Use:   "load FILE [CLUSTER...]",
		Short: "Give the image in an OCI archive to the real nodes of the named clusters, or of all; there is no registry",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := loadImages(cmd.Context(), *lab, args[0], args[1:]); err != nil {
				return fmt.Errorf("image load: %w", err)
			}
			return nil
		},
	})
	return root
}

func loadImages(ctx context.Context, lab folder, file string, names []string) error {
	clusters, err := lab.withRealNodes(names)
	if err != nil {
		return err
	}
	for _, c := range clusters {
		id, err := readIdent(lab.cluster(c.Name).pid(machine))
		if err != nil {
			return err
		}
		if id.state() != running {
			return fmt.Errorf("the node of cluster %s does not run", c.Name)
		}
		archive, err := os.Open(file)
		if err != nil {
			return err
		}
		err = loadImage(ctx, c.Real.Programs, id.pid, archive)
		_ = archive.Close()
		if err != nil {
			return fmt.Errorf("cluster %s: %w", c.Name, err)
		}
	}
	return nil
}

// withRealNodes are the named clusters, all of which must have a real node, or else all that have one.
func (f folder) withRealNodes(names []string) ([]cluster, error) {
	l, err := f.load()
	if err != nil {
		return nil, err
	}
	var out []cluster
	for _, c := range l.Clusters {
		if c.Real != nil && len(names) == 0 {
			out = append(out, c)
		}
	}
	for _, name := range names {
		c, ok := l.find(name)
		if !ok || c.Real == nil {
			return nil, fmt.Errorf("no cluster %q with a real node in %s", name, f)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no cluster in %s has a real node; see up --nodes=real", f)
	}
	return out, nil
}
