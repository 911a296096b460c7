package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Decode reads YAML or JSON documents as objects. Lists are taken apart; empty documents are passed over. An error names the
// document by its number.
func Decode(data []byte) ([]*unstructured.Unstructured, error) {
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	var out []*unstructured.Unstructured
	for n := 1; ; n++ {
		o := &unstructured.Unstructured{}
		err := d.Decode(&o.Object)
		switch {
		case errors.Is(err, io.EOF) && len(out) == 0:
			return nil, errors.New("it holds no object")
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("document %d: %w", n, err)
		case len(o.Object) == 0:
			continue
		}
		objects, err := flatten(o)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		out = append(out, objects...)
	}
}

// flatten is the object, or the objects of a list. Each must say what it is.
func flatten(o *unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	if o.IsList() {
		list, err := o.ToList()
		if err != nil {
			return nil, err
		}
		var out []*unstructured.Unstructured
		for i := range list.Items {
			inner, err := flatten(&list.Items[i])
			if err != nil {
				return nil, fmt.Errorf("item %d: %w", i, err)
			}
			out = append(out, inner...)
		}
		return out, nil
	}
	switch {
	case o.GetAPIVersion() == "" || o.GetKind() == "":
		return nil, errors.New("an object must have apiVersion and kind")
	case o.GetName() == "":
		return nil, fmt.Errorf("%s must have metadata.name", o.GetKind())
	}
	return []*unstructured.Unstructured{o}, nil
}
