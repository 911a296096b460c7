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
	// moved tells that the answer of synced may differ.
	moved observe.Signal
}

// debtor is one object with what it owes in which member.
type debtor struct {
	Key     intent.Key           `json:"key"`
	Members map[string]plan.Debt `json:"members"`
}

// NewDebts returns the debts on record in a namespace of the host. wakeAll is called when they have been read.
func NewDebts(client corev1client.ConfigMapsGetter, namespace string, wake func(intent.Key), wakeAll func()) *Debts {
	d := &Debts{client: client.ConfigMaps(namespace), namespace: namespace, wake: wake}
	d.store = observe.New(parseDebtor, d.changed, func() {
		d.moved.Moved()
		wakeAll()
	})
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
	known := d.of(key)
	for name := range debts {
		if _, ok := known[name]; !ok {
			return d.change(ctx, key, func(all map[string]plan.Debt) { maps.Copy(all, debts) })
		}
	}
	return nil
}

// settle strikes out what is paid.
func (d *Debts) settle(ctx context.Context, key intent.Key, paid []string) error {
	known := d.of(key)
	for _, name := range paid {
		if _, ok := known[name]; ok {
			return d.change(ctx, key, func(all map[string]plan.Debt) {
				for _, name := range paid {
					delete(all, name)
				}
			})
		}
	}
	return nil
}

// change changes what is on record of an object, as the host has it at this moment: other shards write there, too.
func (d *Debts) change(ctx context.Context, key intent.Key, do func(map[string]plan.Debt)) error {
	cm, err := d.client.Get(ctx, debtName(key), metav1.GetOptions{})
	found := err == nil
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read the debt of %v: %w", key, err)
	}
	all := map[string]plan.Debt{}
	if found {
		maps.Copy(all, parseDebtor(cm).Members)
	}
	if do(all); len(all) == 0 {
		return d.strike(ctx, key, cm, found)
	}
	data, err := json.Marshal(debtor{Key: key, Members: all})
	if err != nil {
		return err
	}
	next := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: debtName(key), Labels: map[string]string{debtLabel: "true"}},
		Data:       map[string]string{"debt": string(data), "object": key.String()},
	}
	if found {
		next.ResourceVersion = cm.ResourceVersion
		next, err = d.client.Update(ctx, next, metav1.UpdateOptions{FieldManager: fedv1.FieldManager})
	} else {
		next, err = d.client.Create(ctx, next, metav1.CreateOptions{FieldManager: fedv1.FieldManager})
	}
	if err != nil {
		return fmt.Errorf("record the debt of %v: %w", key, err)
	}
	d.store.Merge(next)
	return nil
}

func (d *Debts) strike(ctx context.Context, key intent.Key, cm *corev1.ConfigMap, found bool) error {
	if !found {
		return nil
	}
	err := d.client.Delete(ctx, cm.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &cm.ResourceVersion}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("settle the debt of %v: %w", key, err)
	}
	return nil
}

func debtName(key intent.Key) string {
	sum := sha256.Sum256([]byte(key.String()))
	return "hansa-debt-" + hex.EncodeToString(sum[:8])
}
