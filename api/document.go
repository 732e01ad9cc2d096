package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"attune"
)

// bearerScheme is the name of the way to authenticate in the OpenAPI document.
const bearerScheme = "bearer"

// introduction opens the documentation.
const introduction = `Attune runs actions out of packs, each execution in a sandbox of its own.

Every request carries a token: "Authorization: Bearer <token>". An answer is {"data": …}; a list adds
{"pagination": {"next_cursor": "…"}}, to send as the query parameter cursor for the next page. An error is a problem
document (RFC 9457): "code" is for programs, and "errors" names each wrong field.`

// humaConfig is huma without its own pages (they load scripts from other hosts) and without schema links.
func humaConfig(version string) huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Attune", Version: version, Description: introduction},
			Servers: []*huma.Server{{URL: "/", Description: "This service"}},
			Tags: []*huma.Tag{
				{Name: "packs", Description: "Upload, install and remove packs."},
				{Name: "actions", Description: "The actions of installed packs."},
				{Name: "policies", Description: "When executions may start: limits, rates, quotas."},
				{Name: "executions", Description: "Submit, watch and cancel executions; read their results and logs."},
				{Name: "queues", Description: "Which executions wait, how long, and for what."},
				{Name: "secrets", Description: "Values that actions read. No request returns them."},
				{Name: "workers", Description: "The processes that run executions."},
				{Name: "tokens", Description: "Access to this API."},
			},
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					bearerScheme: {Type: "http", Scheme: "bearer", Description: "A token from POST /api/v1/tokens."},
				},
			},
			Security: []map[string][]string{{bearerScheme: {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// schemaName turns a Go type's name into a schema's: the problem document is Problem, a place in it Place.
func schemaName(t reflect.Type, hint string) string {
	switch name := huma.DefaultSchemaNamer(t, hint); name {
	case "Problem":
		return "ProblemPlace"
	case "ProblemDocument":
		return "Problem"
	default:
		return name
	}
}

// documents renders the OpenAPI document and the page made from it, once: neither changes while the process lives.
func (s *server) documents() (openAPI, docs http.HandlerFunc, err error) {
	refineSchemas(s.huma.OpenAPI().Components.Schemas.Map())
	document, err := json.MarshalIndent(s.huma.OpenAPI(), "", "  ")
	if err != nil {
		return nil, nil, fmt.Errorf("encode OpenAPI document: %w", err)
	}
	html, err := renderDocs(s.huma.OpenAPI())
	if err != nil {
		return nil, nil, err
	}
	openAPI = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		_, _ = w.Write(document)
	}
	styleHash := sha256.Sum256([]byte(docsStyle))
	policy := "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(styleHash[:]) + "'"
	docs = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(html)
	}
	return openAPI, docs, nil
}

// refineSchemas says what Go's types cannot: which words a member can be, and that answers may grow new members while
// requests must not have unknown ones.
func refineSchemas(schemas map[string]*huma.Schema) {
	for name, schema := range schemas {
		if !strings.HasSuffix(name, "InputBody") {
			schema.AdditionalProperties = nil
		}
	}
	for _, name := range []string{"Execution", "Attempt", "Explanation", "Holder"} {
		enum(schemas[name], "status", attune.Statuses()...)
	}
	for _, name := range []string{"Execution", "Attempt"} {
		enum(schemas[name], "reason", attune.Reasons()...)
	}
	enum(schemas["Gate"], "kind", attune.GateConcurrency, attune.GateRateLimit, attune.GateBackoff, attune.GateWorkers)
	enum(schemas["Installation"], "status", attune.InstallationPending, attune.InstallationInstalling,
		attune.InstallationInstalled, attune.InstallationFailed)
	enum(schemas["Installation"], "phase", attune.PhaseQueued, attune.PhaseFetch, attune.PhaseBase,
		attune.PhaseDependencies, attune.PhaseFiles, attune.PhaseImage, attune.PhaseDone)
	enum(schemas["ScopedPolicy"], "origin", attune.OriginPack, attune.OriginOperator)
	enum(schemas["Concurrency"], "method", attune.MethodEnqueue, attune.MethodCancelOldest, attune.MethodReject)
	enum(schemas["Action"], "runner_type", attune.RunnerPython, attune.RunnerNodeJS, attune.RunnerShell)
	enum(schemas["Action"], "network", attune.NetworkNone, attune.NetworkEgress)
	enum(schemas["Action"], "runtime", attune.Runtimes()...)
	for _, name := range []string{"Token", "CreatedToken"} {
		enum(schemas[name], "role", attune.RoleAdmin, attune.RoleOperator, attune.RoleViewer)
	}
	enum(schemas["Problem"], "code", append(codes(), codeInternal)...)
}

func enum[T ~string](schema *huma.Schema, member string, words ...T) {
	for _, word := range words {
		schema.Properties[member].Enum = append(schema.Properties[member].Enum, string(word))
	}
}

//go:embed docs.html
var docsTemplate string

//go:embed docs.css
var docsStyle string

// docsSection is a tag with its operations.
type docsSection struct {
	*huma.Tag
	Operations []*huma.Operation
}

// renderDocs writes the page: plain HTML, no script, nothing from another host.
func renderDocs(document *huma.OpenAPI) ([]byte, error) {
	page, err := template.New("docs").Funcs(template.FuncMap{
		"example":  exampleOf,
		"statuses": statusesOf,
		//nolint:gosec // It is embedded, and has nothing of a request in it.
		"style": func() template.CSS { return template.CSS(docsStyle) },
	}).Parse(docsTemplate)
	if err != nil {
		return nil, fmt.Errorf("parse documentation page: %w", err)
	}
	sections := make([]docsSection, len(document.Tags))
	for i, tag := range document.Tags {
		sections[i] = docsSection{Tag: tag, Operations: operationsOf(document, tag.Name)}
	}
	var out bytes.Buffer
	err = page.Execute(&out, struct {
		*huma.Info
		Sections []docsSection
	}{document.Info, sections})
	if err != nil {
		return nil, fmt.Errorf("render documentation page: %w", err)
	}
	return out.Bytes(), nil
}

// operationsOf lists a tag's operations by path and method.
func operationsOf(document *huma.OpenAPI, tag string) []*huma.Operation {
	var found []*huma.Operation
	for _, item := range document.Paths {
		for _, operation := range []*huma.Operation{item.Get, item.Post, item.Put, item.Delete} {
			if operation != nil && slices.Contains(operation.Tags, tag) {
				found = append(found, operation)
			}
		}
	}
	slices.SortFunc(found, func(a, b *huma.Operation) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
	return found
}

// exampleOf is the example of a body, "" where there is none.
func exampleOf(content map[string]*huma.MediaType) (string, error) {
	media := content["application/json"]
	if media == nil || media.Example == nil {
		return "", nil
	}
	out, err := json.MarshalIndent(media.Example, "", "  ")
	return string(out), err
}

// statusesOf lists the statuses of an operation, success first.
func statusesOf(operation *huma.Operation) []string {
	statuses := make([]string, 0, len(operation.Responses))
	for status, response := range operation.Responses {
		statuses = append(statuses, status+" "+response.Description)
	}
	slices.Sort(statuses)
	return statuses
}
