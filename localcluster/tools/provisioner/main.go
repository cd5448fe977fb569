// Command provisioner makes a directory of the node for each claim of its storage class, and
// removes it when the claim is gone. It runs beside the kubelet and sees the node's own files:
// other provisioners of local directories run a pod for each, which needs an image with a shell.
package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

var (
	name       = flag.String("name", "", "provisioner of the storage class")
	directory  = flag.String("directory", "", "where the volumes are")
	kubeconfig = flag.String("kubeconfig", "", "kubeconfig file")
	address    = flag.String("metrics-address", "127.0.0.1", "address of /metrics")
	port       = flag.Int("metrics-port", 0, "port of /metrics")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		klog.ErrorS(err, "giving up")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
}

func run(ctx context.Context) error {
	if err := os.MkdirAll(*directory, 0o755); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	controller.NewProvisionController(
		ctx, client, *name, directories{*directory},
		controller.LeaderElection(false),
		controller.MetricsAddress(*address),
		controller.MetricsPort(int32(*port)),
	).Run(ctx)
	return nil
}

// directories are volumes of one node, each a directory below a common one.
type directories struct{ parent string }

func (d directories) Provision(
	_ context.Context, options controller.ProvisionOptions,
) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	if err := possible(options); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	path := filepath.Join(d.parent, options.PVName)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// Any user's pod may write to it, whatever our umask.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return volume(options, path), controller.ProvisioningFinished, nil
}

func (d directories) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	return os.RemoveAll(filepath.Join(d.parent, volume.Name))
}

// possible says why a directory of one node cannot be what the claim asks for.
func possible(options controller.ProvisionOptions) error {
	if options.SelectedNodeName == "" {
		return errors.New("no node is chosen: the class needs volumeBindingMode WaitForFirstConsumer")
	}
	for _, mode := range options.PVC.Spec.AccessModes {
		if mode != v1.ReadWriteOnce && mode != v1.ReadWriteOncePod {
			return errors.New("a directory of one node is ReadWriteOnce or ReadWriteOncePod only")
		}
	}
	return nil
}

func volume(options controller.ProvisionOptions, path string) *v1.PersistentVolume {
	node := v1.NodeSelectorRequirement{
		Key:      v1.LabelHostname,
		Operator: v1.NodeSelectorOpIn,
		Values:   []string{options.SelectedNodeName},
	}
	terms := []v1.NodeSelectorTerm{{MatchExpressions: []v1.NodeSelectorRequirement{node}}}
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: v1.PersistentVolumeSpec{
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity:                      options.PVC.Spec.Resources.Requests,
			NodeAffinity:                  &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: terms}},
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			PersistentVolumeSource: v1.PersistentVolumeSource{
				Local: &v1.LocalVolumeSource{Path: path},
			},
		},
	}
}
