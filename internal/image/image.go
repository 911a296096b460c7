// Package image answers: how do static binaries become a container image, without a container engine? One layer, in the tar form of
// the OCI image layout (image-spec 1.1), which containerd, podman, docker (25 and later), kind and skopeo read. Equal files make equal bytes.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// User is who runs in the image: nobody that a host knows. It is a number, so that kubelets can see that it is not root.
const User = "65532:65532"

// Image is what is to be made.
type Image struct {
	Name         string // with a tag, as Pods will name it
	Architecture string // as GOARCH names it
	Entrypoint   []string
	Labels       map[string]string
	Files        []File
}

// File is one file of the image; the folders above it are made.
type File struct {
	Path string // absolute, in the image
	Data []byte
	Mode int64
}

// Write writes the image as a tar of an OCI layout.
func Write(w io.Writer, i Image) error {
	repository, tag, ok := strings.Cut(i.Name[strings.LastIndex(i.Name, "/")+1:], ":")
	if !ok || repository == "" || tag == "" {
		return fmt.Errorf("image name %q needs a tag: NAME:TAG", i.Name)
	}
	for _, f := range i.Files {
		if !path.IsAbs(f.Path) {
			return fmt.Errorf("path %q in image %s is not absolute", f.Path, i.Name)
		}
	}
	layer, err := archive(withFolders(i.Files))
	if err != nil {
		return fmt.Errorf("make the layer of %s: %w", i.Name, err)
	}
	blobs := &blobs{}
	content := blobs.add("application/vnd.oci.image.layer.v1.tar", layer)
	config := blobs.addJSON("application/vnd.oci.image.config.v1+json", map[string]any{
		"architecture": i.Architecture,
		"os":           "linux",
		"config":       map[string]any{"User": User, "Entrypoint": i.Entrypoint, "WorkingDir": "/", "Labels": i.Labels},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{content.Digest}},
	})
	manifest := blobs.addJSON(manifestType, map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": []descriptor{content},
	})
	manifest.Platform = map[string]string{"architecture": i.Architecture, "os": "linux"}
	manifest.Annotations = map[string]string{"io.containerd.image.name": i.Name, "org.opencontainers.image.ref.name": tag}
	index := encode(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []descriptor{manifest},
	})
	files := append([]File{
		{Path: "/oci-layout", Data: []byte(`{"imageLayoutVersion":"1.0.0"}`), Mode: 0o644},
		{Path: "/index.json", Data: index, Mode: 0o644},
	}, blobs.files...)
	all, err := archive(withFolders(files))
	if err != nil {
		return fmt.Errorf("pack %s: %w", i.Name, err)
	}
	_, err = w.Write(all)
	return err
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    map[string]string `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// blobs are the parts of a layout, each named by its digest.
type blobs struct{ files []File }

func (b *blobs) add(mediaType string, data []byte) descriptor {
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	b.files = append(b.files, File{Path: "/blobs/sha256/" + sum, Data: data, Mode: 0o644})
	return descriptor{MediaType: mediaType, Digest: "sha256:" + sum, Size: len(data)}
}

func (b *blobs) addJSON(mediaType string, v any) descriptor { return b.add(mediaType, encode(v)) }

// encode sorts the keys of maps, as encoding/json does.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // only maps, texts and numbers come here
	}
	return data
}

// withFolders sorts files by path and puts the folders that they are in before them.
func withFolders(files []File) []File {
	var out []File
	made := map[string]bool{"/": true}
	var folder func(string)
	folder = func(p string) {
		if made[p] {
			return
		}
		folder(path.Dir(p))
		made[p] = true
		out = append(out, File{Path: p + "/", Mode: 0o755})
	}
	sorted := slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range sorted {
		folder(path.Dir(f.Path))
		out = append(out, f)
	}
	return out
}

// archive packs files of root's, without times. A path that ends in a slash is a folder.
func archive(files []File) ([]byte, error) {
	var buf bytes.Buffer
	t := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: f.Mode, Size: int64(len(f.Data)), Format: tar.FormatPAX}
		if strings.HasSuffix(f.Path, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := t.Write(f.Data); err != nil {
			return nil, err
		}
	}
	err := t.Close()
	return buf.Bytes(), err
}
