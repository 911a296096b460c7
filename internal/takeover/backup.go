package takeover

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/intent"
)

// backup reads the ConfigMap of the take-over; it is empty, without a UID, if there is none.
func (f *Federation) backup(ctx context.Context) (*corev1.ConfigMap, error) {
	cm := &corev1.ConfigMap{}
	err := f.client.Get(ctx, f.key(BackupName), cm)
	if apierrors.IsNotFound(err) {
		cm.Namespace, cm.Name = f.namespace, BackupName
		return cm, nil
	}
	return cm, f.api("read ConfigMap "+BackupName, err)
}

func (f *Federation) save(ctx context.Context, cm *corev1.ConfigMap) error {
	var err error
	if cm.UID == "" {
		err = f.client.Create(ctx, cm)
	} else {
		err = f.client.Update(ctx, cm)
	}
	return f.api("write ConfigMap "+BackupName, err)
}

const copiesKey = "copies."

// uids are the copies of a member as JSON, compressed: "<type> <namespace>/<name>" to the UID.
func uids(m *member, s *survey) ([]byte, error) {
	all := map[string]types.UID{}
	for i := range s.types {
		t := intent.TypeOf(&s.types[i])
		for at, c := range m.copies[t.Name] {
			all[t.KeyOf(at.Namespace, at.Name).String()] = c.GetUID()
		}
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(all); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func readUIDs(raw []byte) (map[string]types.UID, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	var all map[string]types.UID
	err = json.NewDecoder(z).Decode(&all)
	return all, err
}

// remember notes which copies there are, once: what is there when the take-over begins must be there when it ends.
func (f *Federation) remember(ctx context.Context, s *survey) error {
	cm, err := f.backup(ctx)
	if err != nil {
		return err
	}
	n := 0
	for _, m := range s.members {
		key := copiesKey + m.cluster.Name
		if m.err != nil || cm.BinaryData[key] != nil {
			continue
		}
		raw, err := uids(m, s)
		if err != nil {
			return fmt.Errorf("note the copies in %s: %w", m.cluster.Name, err)
		}
		if cm.BinaryData == nil {
			cm.BinaryData = map[string][]byte{}
		}
		cm.BinaryData[key] = raw
		n++
	}
	if n == 0 {
		return nil
	}
	if err := f.save(ctx, cm); err != nil {
		return err
	}
	f.done("noted the copies of %d clusters in ConfigMap %s", n, BackupName)
	return nil
}

// remade lists, sorted, the copies that are not the ones that the take-over found: of another UID, or gone although their federated
// object is there and means the member.
func (f *Federation) remade(ctx context.Context, s *survey) ([]string, error) {
	cm, err := f.backup(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range s.members {
		raw := cm.BinaryData[copiesKey+m.cluster.Name]
		if m.err != nil || raw == nil {
			continue
		}
		before, err := readUIDs(raw)
		if err != nil {
			return nil, fmt.Errorf("read the copies of %s in ConfigMap %s: %w", m.cluster.Name, BackupName, err)
		}
		for _, o := range s.objects {
			was := before[o.String()]
			step, meant := o.plan.Step(m.cluster.Name)
			if was == "" || !meant || !step.Selected {
				continue
			}
			switch c := m.copy(o.typ, o.Key); {
			case c == nil:
				out = append(out, fmt.Sprintf("%s is gone from %s", o.Key, m.cluster.Name))
			case c.GetUID() != was:
				out = append(out, fmt.Sprintf("%s in %s is another object than before", o.Key, m.cluster.Name))
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

const webhookKey = "webhooks."

// keepWebhooks puts configurations into the backup.
func (f *Federation) keepWebhooks(ctx context.Context, all []*unstructured.Unstructured) error {
	cm, err := f.backup(ctx)
	if err != nil {
		return err
	}
	if cm.Data == nil {
		cm.Data = map[string]string{}
	}
	for _, o := range all {
		o = o.DeepCopy()
		for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
			unstructured.RemoveNestedField(o.Object, "metadata", field)
		}
		raw, err := o.MarshalJSON()
		if err != nil {
			return fmt.Errorf("keep %s %s: %w", o.GetKind(), o.GetName(), err)
		}
		cm.Data[webhookKey+o.GetKind()+"."+o.GetName()] = string(raw)
	}
	return f.save(ctx, cm)
}

// keptWebhooks are those in the backup.
func keptWebhooks(cm *corev1.ConfigMap) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, key := range slices.Sorted(maps.Keys(cm.Data)) {
		if !strings.HasPrefix(key, webhookKey) {
			continue
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON([]byte(cm.Data[key])); err != nil {
			return nil, fmt.Errorf("read %s in ConfigMap %s: %w", key, BackupName, err)
		}
		out = append(out, o)
	}
	return out, nil
}
