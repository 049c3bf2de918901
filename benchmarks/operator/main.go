// The operator of benchmarks/operators.py on client-go: it makes a deployment of each shop, and says that the shop is open
// once the deployment is ready. KUBECONFIG names the cluster.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
)

var shops = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "shops"}

type operator struct {
	typed       kubernetes.Interface
	dynamic     dynamic.Interface
	shops       cache.GenericLister
	deployments cache.Indexer
	queue       workqueue.TypedRateLimitingInterface[cache.ObjectName]
}

func (o *operator) enqueue(object any) {
	if name, err := cache.DeletionHandlingObjectToName(object); err == nil {
		o.queue.Add(name)
	}
}

// reconcile makes the deployment of a shop, or opens the shop; a shop and its deployment have the same name.
func (o *operator) reconcile(ctx context.Context, name cache.ObjectName) error {
	found, err := o.shops.ByNamespace(name.Namespace).Get(name.Name)
	if err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	shop := found.(*unstructured.Unstructured)
	made, exists, err := o.deployments.GetByKey(name.String())
	if err != nil {
		return err
	}
	if !exists {
		deployments := o.typed.AppsV1().Deployments(name.Namespace)
		_, err := deployments.Create(ctx, wanted(shop), metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	deployment := made.(*appsv1.Deployment)
	open, _, _ := unstructured.NestedBool(shop.Object, "status", "open")
	if open || deployment.Status.ReadyReplicas != *deployment.Spec.Replicas {
		return nil
	}
	patch := []byte(`{"status":{"open":true}}`)
	client := o.dynamic.Resource(shops).Namespace(name.Namespace)
	_, err = client.Patch(ctx, name.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

func wanted(shop *unstructured.Unstructured) *appsv1.Deployment {
	counters, _, _ := unstructured.NestedInt64(shop.Object, "spec", "counters")
	replicas, labels := int32(counters), map[string]string{"shop": shop.GetName()}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Name:            shop.GetName(),
			Labels:          labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(shop, shop.GroupVersionKind())},
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
			},
		},
	}
}

func (o *operator) next(ctx context.Context) bool {
	name, shutdown := o.queue.Get()
	if shutdown {
		return false
	}
	defer o.queue.Done(name)
	if err := o.reconcile(ctx, name); err != nil {
		log.Printf("%s: %v", name, err)
		o.queue.AddRateLimited(name)
		return true
	}
	o.queue.Forget(name)
	return true
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		log.Fatal(err)
	}
	o := &operator{
		typed:   kubernetes.NewForConfigOrDie(config),
		dynamic: dynamic.NewForConfigOrDie(config),
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]()),
	}
	custom := dynamicinformer.NewDynamicSharedInformerFactory(o.dynamic, 0)
	builtIn := informers.NewSharedInformerFactory(o.typed, 0)
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    o.enqueue,
		UpdateFunc: func(_, object any) { o.enqueue(object) },
		DeleteFunc: o.enqueue,
	}
	watched := []cache.SharedIndexInformer{custom.ForResource(shops).Informer(), builtIn.Apps().V1().Deployments().Informer()}
	o.shops, o.deployments = custom.ForResource(shops).Lister(), watched[1].GetIndexer()
	for _, informer := range watched {
		if _, err := informer.AddEventHandler(handler); err != nil {
			log.Fatal(err)
		}
	}
	custom.Start(ctx.Done())
	builtIn.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), watched[0].HasSynced, watched[1].HasSynced) {
		log.Fatal("the caches have not been filled")
	}
	go func() {
		<-ctx.Done()
		o.queue.ShutDown()
	}()
	for o.next(ctx) {
	}
}
