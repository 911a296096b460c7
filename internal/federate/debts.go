package federate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/observe"
	"github.com/hansa-io/hansa/internal/plan"
)

// debtLabel marks the ConfigMaps of the KubeFed namespace that hold debts.
const debtLabel = "kubefed.io/debt"

// Debts are the removals that deleted federated objects still owe in members that were away. They outlive the object and this
// process, in a ConfigMap for each object, and are paid when the member returns.
type Debts struct {
	client    corev1client.ConfigMapInterface
	namespace string
	store     *observe.Store[debtor]
	wake      func(intent.Key)
}

// debtor is one object with what it owes in which member.
type debtor struct {
	Key     intent.Key           `json:"key"`
	Members map[string]plan.Debt `json:"members"`
}

// NewDebts returns the debts on record in a namespace of the host. wakeAll is called when they have been read.
func NewDebts(client corev1client.ConfigMapsGetter, namespace string, wake func(intent.Key), wakeAll func()) *Debts {
	d := &Debts{client: client.ConfigMaps(namespace), namespace: namespace, wake: wake}
	d.store = observe.New(parseDebtor, d.changed, wakeAll)
	return d
}

// Run reads and watches the debts until the context ends.
func (d *Debts) Run(ctx context.Context) {
	only := func(o metav1.ListOptions) metav1.ListOptions { o.LabelSelector = debtLabel; return o }
	d.store.Run(ctx, "debts", &corev1.ConfigMap{}, observe.Lister{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return d.client.List(ctx, only(o))
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return d.client.Watch(ctx, only(o))
		},
	})
}

func parseDebtor(o metav1.Object) debtor {
	var d debtor
	if cm, ok := o.(*corev1.ConfigMap); ok {
		_ = json.Unmarshal([]byte(cm.Data["debt"]), &d) // what cannot be read owes nothing: nothing is removed for it
	}
	return d
}

func (d *Debts) changed(namespace, name string, _ bool) {
	if v, ok := d.store.Value(namespace, name); ok {
		d.wake(v.Key)
	}
}

func (d *Debts) synced() bool { return d.store.State().Synced }

func (d *Debts) of(key intent.Key) map[string]plan.Debt {
	if d.store.Len() == 0 {
		return nil
	}
	found, _ := d.store.Value(d.namespace, debtName(key))
	return found.Members
}

// record writes down debts, beside those that the name already has.
func (d *Debts) record(ctx context.Context, key intent.Key, debts map[string]plan.Debt) error {
	if len(debts) == 0 {
		return nil
	}
	members := maps.Clone(d.of(key))
	if members == nil {
		members = map[string]plan.Debt{}
	}
	maps.Copy(members, debts)
	return d.write(ctx, debtor{Key: key, Members: members})
}

// settle strikes out what is paid.
func (d *Debts) settle(ctx context.Context, key intent.Key, paid []string) error {
	members := d.of(key)
	if len(members) == 0 || len(paid) == 0 {
		return nil
	}
	members = maps.Clone(members)
	for _, m := range paid {
		delete(members, m)
	}
	if len(members) > 0 {
		return d.write(ctx, debtor{Key: key, Members: members})
	}
	err := d.client.Delete(ctx, debtName(key), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("settle the debt of %v: %w", key, err)
	}
	return nil
}

func (d *Debts) write(ctx context.Context, v debtor) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: debtName(v.Key), Labels: map[string]string{debtLabel: "true"}},
		Data:       map[string]string{"debt": string(data), "object": v.Key.String()},
	}
	got, err := d.client.Update(ctx, cm, metav1.UpdateOptions{FieldManager: fedv1.FieldManager})
	if apierrors.IsNotFound(err) {
		got, err = d.client.Create(ctx, cm, metav1.CreateOptions{FieldManager: fedv1.FieldManager})
	}
	if err != nil {
		return fmt.Errorf("record the debt of %v: %w", v.Key, err)
	}
	d.store.Merge(got)
	return nil
}

func debtName(key intent.Key) string {
	sum := sha256.Sum256([]byte(key.String()))
	return "hansa-debt-" + hex.EncodeToString(sum[:8])
}
