package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hansa-io/hansa/internal/intent"
)

// patch applies one member's overrides in order. They are the operations of RFC 6902 as KubeFed has always taken them: replace also
// makes a missing leaf, a negative index counts from the end. If one fails, none is applied.
func patch(doc map[string]any, ops []intent.Override) (map[string]any, error) {
	var out any = runtime.DeepCopyJSON(doc)
	for n, op := range ops {
		tokens := pointer(op.Path)
		var err error
		if out, err = edit(out, tokens, op); err != nil {
			return nil, fmt.Errorf("override %d, %s %s: %w", n, op.Op, op.Path, err)
		}
	}
	return out.(map[string]any), nil //nolint:forcetypeassert // the root cannot be replaced: intent refuses the empty path
}

// pointer splits a JSON pointer (RFC 6901).
func pointer(path string) []string {
	tokens := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, t := range tokens {
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return tokens
}

// edit returns the node with the operation done below it.
func edit(node any, tokens []string, op intent.Override) (any, error) {
	switch n := node.(type) {
	case map[string]any:
		return editMap(n, tokens, op)
	case []any:
		return editList(n, tokens, op)
	default:
		return nil, fmt.Errorf("nothing to go into at %q", tokens[0])
	}
}

func editMap(m map[string]any, tokens []string, op intent.Override) (any, error) {
	key := tokens[0]
	child, ok := m[key]
	switch {
	case len(tokens) > 1 && !ok:
		return nil, fmt.Errorf("%q does not exist: add its parent first", key)
	case len(tokens) > 1:
		changed, err := edit(child, tokens[1:], op)
		m[key] = changed
		return m, err
	case op.Op == "remove" && !ok:
		return nil, fmt.Errorf("%q does not exist", key)
	case op.Op == "remove":
		delete(m, key)
	default:
		m[key] = runtime.DeepCopyJSONValue(op.Value)
	}
	return m, nil
}

func editList(l []any, tokens []string, op intent.Override) (any, error) {
	i, err := index(tokens[0], len(l), len(tokens) == 1 && op.Op == "add")
	if err != nil {
		return nil, err
	}
	switch {
	case len(tokens) > 1:
		changed, err := edit(l[i], tokens[1:], op)
		l[i] = changed
		return l, err
	case op.Op == "remove":
		return slices.Delete(l, i, i+1), nil
	case op.Op == "add":
		return slices.Insert(l, i, runtime.DeepCopyJSONValue(op.Value)), nil
	default:
		l[i] = runtime.DeepCopyJSONValue(op.Value)
		return l, nil
	}
}

// index reads a list index; inserting says that the end of the list is meant by its length, by "-" and by -1.
func index(token string, length int, inserting bool) (int, error) {
	last := length - 1
	if inserting {
		last = length
	}
	if token == "-" && inserting {
		return length, nil
	}
	i, err := strconv.Atoi(token)
	if err != nil {
		return 0, fmt.Errorf("%q is not an index of a list of %d", token, length)
	}
	if i < 0 {
		i += last + 1
	}
	if i < 0 || i > last {
		return 0, fmt.Errorf("index %s is outside of a list of %d", token, length)
	}
	return i, nil
}
