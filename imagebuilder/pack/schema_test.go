package pack

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"attune"
)

// What the schema says once more than the vocabulary does is the same there.
func TestSchemaAgreesWithTheVocabulary(t *testing.T) {
	t.Parallel()
	action := rules()["action"]
	words := func(field string) []string { return action.field(field).Enum }
	retry := action.field("retry")
	concurrency := action.field("policy").field("concurrency")
	rate := action.field("policy").field("rate_limit")
	var reasons []string
	for _, reason := range attune.RetryReasons() {
		reasons = append(reasons, string(reason))
	}
	for name, test := range map[string]struct{ want, got any }{
		"runners": {
			[]string{string(attune.RunnerPython), string(attune.RunnerNodeJS), string(attune.RunnerShell)}, words("runner_type"),
		},
		"networks": {[]string{string(attune.NetworkNone), string(attune.NetworkEgress)}, words("network")},
		"runtimes": {[]string{string(attune.RuntimeRunc), string(attune.RuntimeRunsc)}, words("runtime")},
		"methods": {
			[]string{string(attune.MethodEnqueue), string(attune.MethodCancelOldest), string(attune.MethodReject)},
			concurrency.field("method").Enum,
		},
		"reasons":     {reasons, retry.field("reasons").Items.Enum},
		"attempts":    {float64(attune.MaxAttempts), retry.field("max_attempts").Maximum},
		"concurrency": {float64(attune.MaxConcurrency), concurrency.field("limit").Maximum},
		"total":       {float64(attune.MaxConcurrency), concurrency.field("total").Maximum},
		"key":         {attune.MaxKeyParameters, concurrency.field("key").MaxItems},
		"rate":        {float64(attune.MaxRate), rate.field("max_executions").Maximum},
		"window":      {float64(attune.MaxPolicySeconds), rate.field("window_seconds").Maximum},
		"waiting":     {float64(attune.MaxConcurrency), action.field("policy").field("max_waiting").Maximum},
		"wait":        {float64(attune.MaxPolicySeconds), action.field("policy").field("max_wait_seconds").Maximum},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s (-vocabulary +schema):\n%s", name, diff)
		}
	}
	pack := rules()["pack"]
	for _, text := range []string{
		"", "a", "A", "1a", "a1-_", "é", "a.b", "_a", "-a", "a b", "a\n", strings.Repeat("a", 63), strings.Repeat("a", 64),
		strings.Repeat("A", 128), strings.Repeat("A", 129),
	} {
		if want, got := attune.ValidPackRef(text), pack.field("ref").Pattern.MatchString(text); want != got {
			t.Errorf("ref %q: the schema says %v", text, got)
		}
		if want, got := attune.ValidSecretName(text), action.field("secrets").Items.Pattern.MatchString(text); want != got {
			t.Errorf("secret %q: the schema says %v", text, got)
		}
	}
	for _, text := range []string{
		"1.2.3", "1.2", "v1.2.3", "01.2.3", "1.2.3-rc.1", "1.2.3-01", "1.2.3-0a", "1.2.3+a.01", "1.2.3-", "1.2.3+", "1.2.3 ",
		"99999999999999999999.0.0", "9999999999999999999.0.0", "999999999999999999.0.0", "1.2.3-a..b", "1.2.3.4", "",
	} {
		_, err := semver.StrictNewVersion(text)
		if got := pack.field("version").Pattern.MatchString(text); got != (err == nil) {
			t.Errorf("version %q: the schema says %v, and semver %v", text, got, err)
		}
	}
}

// published are the schemas that people get, read by a validator that knows nothing of this package.
var published = sync.OnceValue(func() map[string]*santhosh.Schema {
	schemas := map[string]*santhosh.Schema{}
	for _, of := range []string{FilePack, FileAction, FilePolicy} {
		document, err := santhosh.UnmarshalJSON(strings.NewReader(Schema(of)))
		if err != nil {
			panic(err)
		}
		c := santhosh.NewCompiler()
		if err := c.AddResource("schema:"+of, document); err != nil {
			panic(err)
		}
		schemas[of] = c.MustCompile("schema:" + of)
	}
	return schemas
})

// schemaFor is the definition that a file of a pack goes by; "" when it is none of those.
func schemaFor(file string) string {
	dir, name, below := strings.Cut(file, "/")
	switch {
	case file == manifestFile:
		return FilePack
	case below && dir == actionsDir && isYAML(name) && !strings.Contains(name, "/"):
		return FileAction
	case below && dir == policiesDir && isYAML(name) && !strings.Contains(name, "/"):
		return FilePolicy
	default:
		return ""
	}
}

// structural are the problems that a schema can find, as this package words them.
var structural = regexp.MustCompile(`^(must be (an object|a list|a string|a whole number|a number|one of|a size)|` +
	`must have at most|is required$|is an unknown field|is there twice|is empty$|bounds nothing|names no |has more than|` +
	`".*" is not a reason|must be letters, digits and _, and not|must be a semantic|must be the name of a Debian|` +
	`must be a module or package|` +
	`must be lower-case .* 63 characters$|must be a whole number of bytes)`)

// assertSchemaAgrees compares what is wrong with a pack's files with what their published schemas say of them.
func assertSchemaAgrees(tb testing.TB, files map[string]string, problems []attune.Problem) {
	tb.Helper()
	if len(problems) > 2*maxArchiveProblems {
		return // not all of them are told
	}
	for file, text := range files {
		definition := schemaFor(file)
		node, broken := parseYAML([]byte(text))
		if definition == "" || broken != nil || len(text) > maxYAMLBytes {
			continue
		}
		var here, byReader []string
		for _, p := range problems {
			if p.File != file {
				continue
			}
			here = append(here, p.Field)
			inner, _, _ := strings.Cut(p.Field, ".") // what is wrong inside a schema of the author's is no matter of ours
			if inner == "parameters" || inner == "output_schema" {
				continue
			}
			if structural.MatchString(p.Message) {
				byReader = append(byReader, p.Field)
			}
		}
		bySchema := refusedFields(published()[definition].Validate(plainValue(node, rules()[definition])))
		for _, field := range bySchema {
			if !slices.ContainsFunc(here, func(other string) bool { return sameField(other, field) }) {
				tb.Errorf("%s:\n%.300s\nthe schema refuses %q, and the service does not: %q", file, text, field, here)
			}
		}
		for _, field := range byReader {
			if !slices.ContainsFunc(bySchema, func(other string) bool { return sameField(field, other) }) {
				tb.Errorf("%s:\n%.300s\nthe service refuses %q, and the schema does not: %q", file, text, field, bySchema)
			}
		}
	}
}

// plainValue is what an editor sees, without the fields that are given no value: they count as left out.
func plainValue(node *yamlNode, r *rule) any {
	switch value := node.value.(type) {
	case yamlMap:
		object := map[string]any{}
		for _, m := range value {
			if field := r.field(m.name); field == nil || m.node.value != nil {
				object[m.name] = plainValue(m.node, field)
			}
		}
		return object
	case []*yamlNode:
		list := []any{}
		for _, item := range value {
			var of *rule
			if r != nil {
				of = r.Items
			}
			list = append(list, plainValue(item, of))
		}
		return list
	default:
		return value
	}
}

// anywhere stands for a location that the validator does not know for certain.
const anywhere = "*."

// sameField reports whether a field that the service names is the one that the validator names.
func sameField(byReader, byValidator string) bool {
	name, uncertain := strings.CutPrefix(byValidator, anywhere)
	return byReader == byValidator || uncertain && strings.HasSuffix(byReader, "."+name)
}

// refusedFields are the fields that a validator finds something wrong with.
func refusedFields(err error) (fields []string) {
	invalid, ok := errors.AsType[*santhosh.ValidationError](err)
	if !ok {
		return nil
	}
	at := ""
	for _, token := range invalid.InstanceLocation {
		if _, err := strconv.Atoi(token); err == nil {
			at += "[" + token + "]"
		} else {
			at = strings.TrimPrefix(at+"."+token, ".")
		}
	}
	below := func(names ...string) {
		for _, name := range names {
			fields = append(fields, strings.TrimPrefix(at+"."+name, "."))
		}
	}
	switch k := invalid.ErrorKind.(type) {
	case *kind.Required:
		below(k.Missing...)
	case *kind.AdditionalProperties:
		below(k.Properties...)
	case *kind.PropertyNames:
		// The validator may give the location of a sibling here: its locations share memory.
		fields = append(fields, anywhere+k.Property)
	case *kind.UniqueItems:
		fields = append(fields, at+"["+strconv.Itoa(k.Duplicates[1])+"]")
	case *kind.AnyOf:
		fields = append(fields, at)
	default:
		for _, cause := range invalid.Causes {
			fields = append(fields, refusedFields(cause)...)
		}
		if len(invalid.Causes) == 0 {
			fields = append(fields, at)
		}
	}
	return fields
}
