package deploy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/knadh/koanf/parsers/yaml"

	"fanfare/app"
)

// manifest is what of a Kubernetes object this test looks at.
type manifest struct {
	Kind       string
	Metadata   struct{ Name string }
	StringData map[string]string
	Spec       struct {
		Selector struct {
			MatchLabels map[string]string
		}
		Ports    []struct{ TargetPort string }
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     podSpec
		}
		PodMetricsEndpoints []struct {
			Path, Port    string
			Authorization struct{ Credentials reference }
		}
	}
}

type podSpec struct {
	EnableServiceLinks            *bool
	TerminationGracePeriodSeconds int
	SecurityContext               struct{ RunAsUser int }
	Containers                    []container
}

type container struct {
	Args  []string
	Ports []struct {
		Name          string
		ContainerPort int
	}
	Env []struct {
		Name      string
		ValueFrom struct{ SecretKeyRef reference }
	}
	StartupProbe, LivenessProbe, ReadinessProbe probe
	VolumeMounts                                []struct{ MountPath string }
}

type reference struct{ Name, Key string }

type probe struct {
	HTTPGet                         struct{ Path, Port string }
	PeriodSeconds, FailureThreshold int
}

func manifestOf(t *testing.T, name string) (m manifest) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("kubernetes", name)) //nolint:gosec // ours
	if err != nil {
		t.Fatal(err)
	}
	document, err := yaml.Parser().Unmarshal(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if text, err = json.Marshal(document); err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return m
}

// TestKubernetes holds the manifests to the code and to each other: keys, ports, paths, times, names.
func TestKubernetes(t *testing.T) {
	deployment, secret := manifestOf(t, "deployment.yaml"), manifestOf(t, "secret.example.yaml")
	pod := deployment.Spec.Template.Spec
	if len(pod.Containers) != 1 {
		t.Fatalf("%d containers", len(pod.Containers))
	}
	node := pod.Containers[0]

	// The server takes the configuration, with what the Secret brings into the environment.
	var environ []string
	for _, variable := range node.Env {
		value, ok := secret.StringData[variable.ValueFrom.SecretKeyRef.Key]
		if strings.HasPrefix(variable.Name, "FANFARE_") && (!ok || variable.ValueFrom.SecretKeyRef.Name != secret.Metadata.Name) {
			t.Errorf("%s is not in the Secret", variable.Name)
		}
		environ = append(environ, variable.Name+"="+value)
	}
	config, err := app.LoadConfig(app.ConfigSources{File: "kubernetes/config.yaml", Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(node.Args, " ") != "serve --config "+node.VolumeMounts[0].MountPath+"/config.yaml" {
		t.Errorf("the configuration is at %+v, and it reads %v", node.VolumeMounts, node.Args)
	}
	// What Kubernetes adds for a Service of this name would be unknown keys.
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		t.Error("enableServiceLinks")
	}
	if _, err := app.LoadConfig(app.ConfigSources{File: os.DevNull, Environ: []string{"FANFARE_PORT_80_TCP=tcp://10.0.0.1:80"}}); err == nil {
		t.Error("enableServiceLinks need not be off any more")
	}

	if port := strings.TrimPrefix(config.Server.Address, ":"); strconv.Itoa(node.Ports[0].ContainerPort) != port {
		t.Errorf("it listens on %s, and the port is %+v", config.Server.Address, node.Ports)
	}
	http := node.Ports[0].Name
	if service := manifestOf(t, "service.yaml"); service.Spec.Ports[0].TargetPort != http {
		t.Errorf("the Service leads to %+v", service.Spec.Ports)
	}
	for path, p := range map[string]probe{"/livez": node.LivenessProbe, "/readyz": node.ReadinessProbe} {
		if p.HTTPGet.Path != path || p.HTTPGet.Port != http {
			t.Errorf("a probe of %+v, want %s", p.HTTPGet, path)
		}
	}
	if node.StartupProbe.HTTPGet != node.LivenessProbe.HTTPGet {
		t.Errorf("a probe of %+v at the start", node.StartupProbe.HTTPGet)
	}

	// Nobody is cut off: first it is seen to be unready, then it shuts down, then it would be killed.
	unready := time.Duration(node.ReadinessProbe.PeriodSeconds*node.ReadinessProbe.FailureThreshold) * time.Second
	if config.Server.DrainDelay <= unready {
		t.Errorf("it drains for %v, and is known to be unready after %v", config.Server.DrainDelay, unready)
	}
	grace := time.Duration(pod.TerminationGracePeriodSeconds) * time.Second
	if least := config.Server.DrainDelay + config.Server.ShutdownTimeout; grace <= least {
		t.Errorf("it is killed after %v, and may take %v", grace, least)
	}

	checkKubernetesNames(t, deployment, secret, http)
	if user := "USER " + strconv.Itoa(pod.SecurityContext.RunAsUser) + ":"; !strings.Contains(strings.Join(stepsOf(t, "Containerfile"), "\n"), user) {
		t.Errorf("the Containerfile has no %s", user)
	}
}

// checkKubernetesNames wants whatever selects pods to select these.
func checkKubernetesNames(t *testing.T, deployment, secret manifest, http string) {
	t.Helper()
	labels := deployment.Spec.Template.Metadata.Labels
	if len(labels) == 0 {
		t.Fatal("the pods have no labels")
	}
	for _, name := range []string{"deployment.yaml", "disruptionbudget.yaml", "monitoring/podmonitor.yaml"} {
		selected := manifestOf(t, name).Spec.Selector.MatchLabels
		for key, value := range labels {
			if selected[key] != value {
				t.Errorf("%s selects %v", name, selected)
			}
		}
	}
	endpoint := manifestOf(t, "monitoring/podmonitor.yaml").Spec.PodMetricsEndpoints[0]
	credentials := endpoint.Authorization.Credentials
	if endpoint.Path != "/metrics" || endpoint.Port != http || credentials.Name != secret.Metadata.Name || secret.StringData[credentials.Key] == "" {
		t.Errorf("metrics are at %+v", endpoint)
	}
}

// TestKustomization: every manifest is used, or is for people, and each that is used is there.
func TestKustomization(t *testing.T) {
	used := func(name string) (names []string) {
		text, err := os.ReadFile(filepath.Join("kubernetes", name)) //nolint:gosec // ours
		if err != nil {
			t.Fatal(err)
		}
		document, err := yaml.Parser().Unmarshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range document["resources"].([]any) {
			names = append(names, filepath.Join(filepath.Dir(name), resource.(string)))
		}
		return names
	}
	known := map[string]bool{
		"config.yaml": true, "kustomization.yaml": true, "secret.example.yaml": true,
		"monitoring/kustomization.yaml": true, "monitoring/adapter.values.yaml": true,
	}
	for _, name := range append(used("kustomization.yaml"), used("monitoring/kustomization.yaml")...) {
		if manifestOf(t, name).Kind == "" {
			t.Errorf("%s has no kind", name)
		}
		known[name] = true
	}
	for _, pattern := range []string{"*.yaml", "monitoring/*.yaml"} {
		found, err := filepath.Glob(filepath.Join("kubernetes", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			if name, _ := filepath.Rel("kubernetes", name); !known[filepath.ToSlash(name)] {
				t.Errorf("%s is not in kustomization.yaml", name)
			}
		}
	}
}
