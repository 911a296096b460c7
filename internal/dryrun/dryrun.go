// Package dryrun answers: how does a command go all its way and write nothing?
package dryrun

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Mode says how much is really done. It is a flag's value that understands what kubectl's --dry-run does, and booleans.
type Mode string

// The modes.
const (
	// None does it.
	None Mode = ""
	// Client reads, and sends nothing that could write.
	Client Mode = "client"
	// Server lets the servers check everything and keep nothing.
	Server Mode = "server"
)

func (m *Mode) String() string {
	if *m == None {
		return "none"
	}
	return string(*m)
}

// Type is the kind of value that --help shows.
func (*Mode) Type() string { return "mode" }

// Set reads the flag's value.
func (m *Mode) Set(s string) error {
	switch s {
	case "client", "true":
		*m = Client
	case "server":
		*m = Server
	case "none", "false":
		*m = None
	default:
		return fmt.Errorf("must be none, client or server")
	}
	return nil
}

// Suffix marks a line that tells what was not really done.
func (m Mode) Suffix() string {
	switch m {
	case Client:
		return " (dry run)"
	case Server:
		return " (server dry run)"
	default:
		return ""
	}
}

// Writer is a client that writes as far as the mode lets it.
func (m Mode) Writer(c client.Client) client.Client {
	switch m {
	case Client:
		return reader{c}
	case Server:
		return client.NewDryRunClient(c)
	default:
		return c
	}
}

// reader takes every write for done; but what is not there cannot be deleted.
type reader struct{ client.Client }

func (reader) Create(context.Context, client.Object, ...client.CreateOption) error { return nil }
func (reader) Update(context.Context, client.Object, ...client.UpdateOption) error { return nil }
func (reader) Patch(context.Context, client.Object, client.Patch, ...client.PatchOption) error {
	return nil
}

func (reader) Apply(context.Context, runtime.ApplyConfiguration, ...client.ApplyOption) error {
	return nil
}

func (r reader) Delete(ctx context.Context, o client.Object, _ ...client.DeleteOption) error {
	return r.Get(ctx, client.ObjectKeyFromObject(o), o)
}
