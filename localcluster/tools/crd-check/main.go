// crd-check says whether the API server of the oldest supported Kubernetes takes the
// CustomResourceDefinitions of a file: it calls what that server calls when one is created. A rule whose
// estimated cost is too high for it, or a function that its CEL does not have, shows here only.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, document := range strings.Split(string(text), "\n---\n") {
		if err := checkOne([]byte(document)); err != nil {
			return err
		}
	}
	return nil
}

func checkOne(text []byte) error {
	var given v1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &given); err != nil {
		return err
	}
	v1.SetDefaults_CustomResourceDefinition(&given)
	v1.SetDefaults_CustomResourceDefinitionSpec(&given.Spec)
	var definition apiextensions.CustomResourceDefinition
	err := v1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(
		&given, &definition, nil)
	if err != nil {
		return err
	}
	for _, version := range given.Spec.Versions {
		definition.Status.StoredVersions = append(definition.Status.StoredVersions, version.Name)
	}
	return validation.ValidateCustomResourceDefinition(context.Background(), &definition).ToAggregate()
}
