// Package schema_test decodes the manifests with the types of Kubernetes' own API,
// strictly: a key that it does not have, at any depth, and a value of the wrong type
// are errors. It is a module of its own, so that the runner does not depend on
// Kubernetes.
package schema_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

const manifest = "../runner.yaml"

// decode returns the kinds of a file's objects, in their order.
func decode(data []byte) (kinds []string, err error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), appsv1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(data)))
	buffer := make([]byte, len(data)+1)
	for {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			return kinds, nil
		} else if err != nil {
			return nil, err
		}
		_, kind, err := decoder.Decode(buffer[:n], nil, nil)
		if err != nil {
			return nil, fmt.Errorf("object %d: %w", len(kinds)+1, err)
		}
		kinds = append(kinds, kind.GroupVersion().String()+" "+kind.Kind)
	}
}

func TestManifests(t *testing.T) {
	data, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := decode(data)
	if want := "v1 ConfigMap, v1 Service, apps/v1 StatefulSet"; err != nil || strings.Join(kinds, ", ") != want {
		t.Fatalf("%q, %v, want %s", kinds, err, want)
	}
	for _, change := range [][2]string{
		{"readOnlyRootFilesystem", "readOnlyRootFileSystem"},
		{"volumeClaimTemplates", "volumeClaimTemplate"},
		{"kind: Service", "kind: Servise"},
		{"sizeLimit: 8Gi", "size: 8Gi"},
		{"sizeLimit: 8Gi", "sizeLimit: much"},
		{"cpu: 500m", "cpu: [500m]"},
		{"periodSeconds: 30", "periodSeconds: often"},
		{"metadata:\n  name: otelrunner", "metadata:\n  nme: otelrunner"},
		{"failureThreshold: 4", "failureThreshold: 4\n            failureThreshold: 5"},
	} {
		broken := strings.Replace(string(data), change[0], change[1], 1)
		if broken == string(data) {
			t.Fatalf("the manifests have no %s", change[0])
		}
		if _, err := decode([]byte(broken)); err == nil {
			t.Errorf("%s is not noticed", change[1])
		}
	}
}
