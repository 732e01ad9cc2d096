package pack

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"attune"
)

// An action with parameters to make a key of, and room for what the test adds in line 4 and below.
const keyed = "ref: forecast\nentry_point: forecast.py\n" +
	"parameters: {type: object, properties: {customer: {type: string}, region: {}}}\n"

func forecastWith(tb testing.TB, more string) attune.Action {
	tb.Helper()
	return mustOpen(tb, zipBytes(tb, with(weather, "actions/forecast.yaml", keyed+more), nil)).Manifest.Actions[0]
}

func TestPolicyOfAnAction(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]attune.Policy{
		"":           {},
		"policy: {}": {},
		"policy: {concurrency: {limit: 1000000}}": {
			Concurrency: &attune.Concurrency{Limit: 1_000_000},
		},
		"policy: {concurrency: {limit: 2, key: customer}}": {
			Concurrency: &attune.Concurrency{Limit: 2, Key: []string{"customer"}},
		},
		"policy: {concurrency: {limit: 2, method: cancel_oldest}}": {
			Concurrency: &attune.Concurrency{Limit: 2, Method: attune.MethodCancelOldest},
		},
		"policy: {rate_limit: {max_executions: 1000000, window_seconds: 1}}": {
			RateLimit: &attune.RateLimit{MaxExecutions: 1_000_000, WindowSeconds: 1},
		},
		"policy: {quota: {max_executions: 1, period_seconds: 31622400}}": {
			Quota: &attune.Quota{MaxExecutions: 1, PeriodSeconds: 366 * 24 * 3600},
		},
		"policy: {max_waiting: 1000000, max_wait_seconds: 31622400}": {
			MaxWaiting: new(1_000_000), MaxWaitSeconds: new(366 * 24 * 3600),
		},
		"policy: {concurrency: {limit: 1, key: [region, customer], total: 10}}": {
			Concurrency: &attune.Concurrency{Limit: 1, Key: []string{"region", "customer"}, Total: new(10)},
		},
		`policy:
  concurrency: {limit: 3, key: [customer], total: 5, method: reject}
  rate_limit: {max_executions: 100, window_seconds: 3600}
  quota: {max_executions: 1000, period_seconds: 86400}
  max_waiting: 50
  max_wait_seconds: 600
`: {
			Concurrency: &attune.Concurrency{Limit: 3, Key: []string{"customer"}, Total: new(5), Method: attune.MethodReject},
			RateLimit:   &attune.RateLimit{MaxExecutions: 100, WindowSeconds: 3600},
			Quota:       &attune.Quota{MaxExecutions: 1000, PeriodSeconds: 86400},
			MaxWaiting:  new(50), MaxWaitSeconds: new(600),
		},
	} {
		if diff := cmp.Diff(want, forecastWith(t, text).Policy); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestWrongPolicyOfAnAction(t *testing.T) {
	t.Parallel()
	nine := strings.Join(strings.Split("abcdefghi", ""), ", ")
	for text, want := range map[string][]string{
		"policy: 5": {
			"actions/forecast.yaml:4: policy: must be an object, is a number",
		},
		"policy: {rate_limits: {}}": {
			`:4: policy.rate_limits: is an unknown field; did you mean "rate_limit"?`,
		},
		"policy:\n  max_waiting: 0": {
			":5: policy.max_waiting: must be a whole number from 1 to 1000000",
		},
		"policy: {max_waiting: 1000001}": {
			":4: policy.max_waiting: must be a whole number from 1 to 1000000",
		},
		"policy: {max_wait_seconds: 31622401}": {
			":4: policy.max_wait_seconds: must be a whole number from 1 to 31622400",
		},
		"policy: {max_wait_seconds: soon}": {
			":4: policy.max_wait_seconds: must be a whole number, is a string",
		},
		"policy: {concurrency: {}}": {":4: policy.concurrency.limit: is required"},
		"policy: {concurrency: 2}": {
			":4: policy.concurrency: must be an object, is a number",
		},
		"policy: {concurrency: {limit: 0}}": {
			":4: policy.concurrency.limit: must be a whole number from 1 to 1000000",
		},
		"policy: {concurrency: {limit: 1000001}}": {
			":4: policy.concurrency.limit: must be a whole number from 1 to 1000000",
		},
		"policy: {concurrency: {limit: 1, limits: 1}}": {
			`:4: policy.concurrency.limits: is an unknown field; did you mean "limit"?`,
		},
		"policy: {concurrency: {limit: 1, total: 2}}": {
			":4: policy.concurrency.total: is over the queues of a key, and there is no key",
		},
		"policy: {concurrency: {limit: 1, key: customer, total: 0}}": {
			":4: policy.concurrency.total: must be a whole number from 1",
		},
		"policy: {concurrency: {limit: 1, method: wait}}": {
			":4: policy.concurrency.method: must be one of enqueue, cancel_oldest, reject",
		},
		"policy: {concurrency: {limit: 1, key: []}}": {":4: policy.concurrency.key: names no parameter"},
		"policy: {concurrency: {limit: 1, key: 5}}": {
			":4: policy.concurrency.key: must be a list, is a number",
		},
		"policy: {concurrency: {limit: 1, key: [customer, customer]}}": {":4: policy.concurrency.key[1]: is there twice"},
		"policy: {concurrency: {limit: 1, key: [" + nine + "]}}": {
			":4: policy.concurrency.key: must have at most 8 items, has 9",
		},
		"policy:\n  concurrency:\n    limit: 1\n    key:\n    - customer\n    - costumer": {
			`:9: policy.concurrency.key[1]: "costumer" is not a parameter of the action; did you mean "customer"?`,
		},
		"policy: {concurrency: {limit: 1, key: properties}}": {
			`:4: policy.concurrency.key: "properties" is not a parameter of the action`,
		},
		"policy: {rate_limit: {}}": {
			":4: policy.rate_limit.max_executions: is required", ":4: policy.rate_limit.window_seconds: is required",
		},
		"policy: {rate_limit: 5}":                   {":4: policy.rate_limit: must be an object, is a number"},
		"policy: {rate_limit: {max_executions: 5}}": {":4: policy.rate_limit.window_seconds: is required"},
		"policy: {rate_limit: {max_executions: 0, window: 1}}": {
			":4: policy.rate_limit.window: is an unknown field; known are max_executions, window_seconds",
			":4: policy.rate_limit.max_executions: must be",
			"window_seconds: is required",
		},
		"policy: {quota: {max_executions: 1, period_seconds: 0}}": {
			":4: policy.quota.period_seconds: must be a whole number from 1 to 31622400",
		},
		"policy: {quota: {max_executions: 1, window_seconds: 1}}": {
			":4: policy.quota.window_seconds: is an unknown field", ":4: policy.quota.period_seconds: is required",
		},
		"policy: {quota: {max_executions: 1000001, period_seconds: 31622401}}": {
			":4: policy.quota.max_executions: must be a whole number from 1 to 1000000",
			":4: policy.quota.period_seconds: must be",
		},
	} {
		assertProblems(t, text, want, problemsIn(t, with(weather, "actions/forecast.yaml", keyed+text)))
	}
}

func TestKeyOfAnActionWithoutParameters(t *testing.T) {
	t.Parallel()
	const file = "actions/forecast.yaml"
	files := with(weather, file, weather[file]+"policy: {concurrency: {limit: 1, key: customer}}")
	assertProblems(t, "no parameters",
		[]string{`actions/forecast.yaml:3: policy.concurrency.key: "customer" is not a parameter`}, problemsIn(t, files))
}

func TestPoliciesInFiles(t *testing.T) {
	t.Parallel()
	manifest := mustOpen(t, zipBytes(t, with(weather,
		"actions/forecast.yaml", keyed,
		"actions/other.yaml", "ref: other\nentry_point: forecast.py\npolicy: {max_waiting: 3}\n",
		"policies/all.yaml", "concurrency: {limit: 9, method: reject}\nquota: {max_executions: 2, period_seconds: 60}\n",
		"policies/one.yml", "action: forecast\nconcurrency: {limit: 1, key: customer}\n",
	), nil)).Manifest
	if diff := cmp.Diff(attune.Policy{
		Concurrency: &attune.Concurrency{Limit: 9, Method: attune.MethodReject},
		Quota:       &attune.Quota{MaxExecutions: 2, PeriodSeconds: 60},
	}, manifest.Policy); diff != "" {
		t.Errorf("the pack's policy (-want +got):\n%s", diff)
	}
	keyed := attune.Policy{Concurrency: &attune.Concurrency{Limit: 1, Key: []string{"customer"}}}
	if diff := cmp.Diff(keyed, manifest.Actions[0].Policy); diff != "" {
		t.Errorf("the policy of forecast (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(attune.Policy{MaxWaiting: new(3)}, manifest.Actions[1].Policy); diff != "" {
		t.Errorf("the policy of other (-want +got):\n%s", diff)
	}
}

// One limit is enough for a policy.
func TestPolicyOfOneLimit(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"concurrency: {limit: 9}", "rate_limit: {max_executions: 1, window_seconds: 1}",
		"quota: {max_executions: 1, period_seconds: 1}", "max_waiting: 1", "max_wait_seconds: 1",
	} {
		assertProblems(t, text, nil, problemsIn(t, with(weather, "policies/all.yaml", text)))
	}
}

func TestWrongPoliciesInFiles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files []string
		want  []string
	}{
		"empty": {[]string{"policies/a.yaml", " "}, []string{"policies/a.yaml:1: is empty"}},
		"a list": {
			[]string{"policies/a.yaml", "- max_waiting: 1"}, []string{"policies/a.yaml:1: must be an object, is a list"},
		},
		"no limit": {
			[]string{"policies/a.yaml", "action: forecast"},
			[]string{"policies/a.yaml:1: bounds nothing: give at least one of concurrency, rate_limit"},
		},
		"unknown field": {
			[]string{"policies/a.yaml", "max_waiting: 1\nactions: forecast"},
			[]string{`policies/a.yaml:2: actions: is an unknown field; did you mean "action"?`},
		},
		"wrong limit": {
			[]string{"policies/a.yaml", "max_waiting: 1\nconcurrency: {limit: 0}"},
			[]string{"policies/a.yaml:2: concurrency.limit: must be a whole number"},
		},
		"empty action": {
			[]string{"policies/a.yaml", "action:\nmax_waiting: 1"},
			[]string{"policies/a.yaml:1: action: is empty; name an action"},
		},
		"list of actions": {
			[]string{"policies/a.yaml", "action: [forecast]\nmax_waiting: 1"},
			[]string{"policies/a.yaml:1: action: must be a string, is a list"},
		},
		"unknown parameter": {
			[]string{"policies/a.yaml", "action: forecast\nconcurrency: {limit: 1, key: region_}"},
			[]string{`policies/a.yaml:2: concurrency.key: "region_" is not a parameter of the action; did you mean "region"?`},
		},
		"key and total of the pack": {[]string{
			"policies/a.yaml", "concurrency:\n  limit: 1\n  key: customer\n  total: 2",
		}, []string{
			"policies/a.yaml:3: concurrency.key: belongs to an action's policy",
			"policies/a.yaml:4: concurrency.total: belongs to an action's policy",
		}},
		"unknown action": {[]string{
			"policies/a.yaml", "max_waiting: 0\naction: forcast\nconcurrency: {limit: 1, key: any}",
		}, []string{
			`policies/a.yaml:2: action: is "weather.forcast", which is no action of this pack; did you mean "weather.forecast"?`,
			"policies/a.yaml:1: max_waiting: must be a whole number",
		}},
		"action of another pack": {
			[]string{"policies/a.yaml", "action: billing.run\nmax_waiting: 1"},
			[]string{`policies/a.yaml:1: action: is "billing.run", which is no action`},
		},
		"two of the pack": {[]string{"policies/a.yaml", "max_waiting: 1", "policies/b.yaml", "max_waiting: 1"}, []string{
			"policies/b.yaml:1: is a policy of the whole pack, and policies/a.yaml:1 is one already",
		}},
		"two of an action": {[]string{
			"policies/a.yaml", "max_waiting: 1\naction: forecast",
			"policies/b.yaml", "action: weather.forecast\nmax_waiting: 1",
		}, []string{
			"policies/b.yaml:1: action: has a policy in policies/a.yaml:2 already",
		}},
		"inline and in a file": {[]string{
			"actions/forecast.yaml", keyed + "policy: {max_waiting: 1}",
			"policies/a.yaml", "action: forecast\nmax_waiting: 1",
		}, []string{
			"policies/a.yaml:1: action: has a policy in actions/forecast.yaml:4 already",
		}},
		"not a policy": {[]string{"policies/a.json", "{}", "policies/more/a.yaml", "max_waiting: 1"}, []string{
			"policies/a.json: is not read: policies are policies/<name>.yaml", "policies/more/a.yaml: is not read",
		}},
	} {
		files := with(with(weather, "actions/forecast.yaml", keyed), test.files...)
		assertProblems(t, name, test.want, problemsIn(t, files))
	}
}
