package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hansa-io/hansa/internal/image"
)

func example() image.Image {
	return image.Image{
		Name: "example.com/team/hansa:v1", Architecture: "arm64", Entrypoint: []string{"/hansa"},
		Files: []image.File{
			{Path: "/hansa", Data: []byte("binary"), Mode: 0o755},
			{Path: "/etc/ssl/certs/ca.crt", Data: []byte("pem"), Mode: 0o644},
		},
	}
}

// A reader that follows the digests from the index comes to the files: what the image promises is there, and every blob is what its
// name says.
func TestReadersFindTheFiles(t *testing.T) {
	layout := unpack(t, write(t, example()))
	for name, data := range layout {
		if sum, ok := strings.CutPrefix(name, "blobs/sha256/"); ok && sum != "" && fmt.Sprintf("%x", sha256.Sum256(data)) != sum {
			t.Errorf("%s has other contents than its name says", name)
		}
	}
	type descriptor struct {
		Digest      string
		Size        int
		Annotations map[string]string
	}
	blob := func(d descriptor) []byte {
		data, ok := layout["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
		if !ok || len(data) != d.Size {
			t.Fatalf("blob %s of %d bytes: found %d", d.Digest, d.Size, len(data))
		}
		return data
	}
	index := decode[struct{ Manifests []descriptor }](t, layout["index.json"])
	if name := index.Manifests[0].Annotations["io.containerd.image.name"]; name != "example.com/team/hansa:v1" {
		t.Errorf("containerd would call it %q", name)
	}
	manifest := decode[struct {
		Config descriptor
		Layers []descriptor
	}](t, blob(index.Manifests[0]))
	config := decode[struct {
		Architecture string
		Config       struct {
			User       string
			Entrypoint []string
		}
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}](t, blob(manifest.Config))
	if config.Architecture != "arm64" || config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/hansa"}) {
		t.Errorf("got %+v", config)
	}
	if !slices.Equal(config.Rootfs.DiffIDs, []string{manifest.Layers[0].Digest}) {
		t.Error("the config names another layer than the manifest")
	}
	want := map[string][]byte{
		"etc/": {}, "etc/ssl/": {}, "etc/ssl/certs/": {}, "etc/ssl/certs/ca.crt": []byte("pem"), "hansa": []byte("binary"),
	}
	if diff := cmp.Diff(want, unpack(t, blob(manifest.Layers[0]))); diff != "" {
		t.Errorf("the layer differs:\n%s", diff)
	}
}

func TestEqualFilesMakeEqualImages(t *testing.T) {
	turned := example()
	slices.Reverse(turned.Files)
	if !bytes.Equal(write(t, example()), write(t, turned)) {
		t.Error("the order of the files matters")
	}
}

func TestWhatCannotBeAnImage(t *testing.T) {
	untagged, relative := example(), example()
	untagged.Name = "localhost:5000/hansa"
	relative.Files[0].Path = "hansa"
	for _, i := range []image.Image{untagged, relative} {
		if err := image.Write(io.Discard, i); err == nil {
			t.Errorf("%s with %s was written", i.Name, i.Files[0].Path)
		}
	}
}

func write(t *testing.T, i image.Image) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := image.Write(&buf, i); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// unpack returns the contents by name. A folder that comes after something in it is an error.
func unpack(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.LastIndex(strings.TrimSuffix(h.Name, "/"), "/"); i >= 0 {
			if _, ok := out[h.Name[:i+1]]; !ok {
				t.Errorf("%s comes before its folder", h.Name)
			}
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = content
	}
}

func decode[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
