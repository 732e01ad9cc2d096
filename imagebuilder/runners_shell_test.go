package imagebuilder

var shellCases = []runnerCase{
	{name: "parameters and secrets", code: `echo "$PARAM_city $PARAM_days $SECRET_token"`, stdout: "Köln 3 s3cret\n"},
	{
		name: "not exported", code: `env | grep -cE 'PARAM|SECRET|s3cret'; bash -c 'echo "[$SECRET_token]"'`,
		stdout: "0\n[]\n",
	},
	{
		name: "environment", code: `bash -c 'echo "$ATTUNE_EXECUTION_ID $ATTUNE_ACTION_REF $ATTUNE_ATTEMPT $LEVEL"'`,
		stdout: "e1 weather.forecast 2 info\n",
	},
	{
		name: "environment of other perls", env: []string{"PERL5OPT=-MNothing", "PERL_UNICODE=SD", "LC_NUMERIC=xx_XX.UTF-8"},
		code: `echo "$PERL5OPT $PARAM_city"`, stdout: "-MNothing Köln\n",
	},
	{name: "result", code: `echo '{"ok":true}' > "$ATTUNE_RESULT"`, result: `{"ok":true}`},
	{name: "no output folder", code: "rmdir $ATTUNE_OUTPUT"},
	{name: "exit status", code: "exit 7", status: 7},
	{name: "last command", code: "false", status: 1},
	{name: "returns", code: "return 4", status: 4},
	{name: "strict mode", code: "set -euo pipefail\nfalse\necho never", status: 1},
	{
		name: "unset under strict mode", code: "set -u\necho ${attune_pairs-none} ${attune_script-none}",
		stdout: "none none\n",
	},
	{
		name: "names of the script", code: `echo "$0 ${BASH_SOURCE[0]} $#"`,
		stdout: "actions/action.sh actions/action.sh 0\n",
	},
	{name: "stdin is empty", code: `read -r line; echo "$? [$line]"`, stdout: "1 []\n"},
	{name: "exit trap", code: "trap 'echo bye' EXIT\nexit 3", stdout: "bye\n", status: 3},
	{name: "terminated", code: "kill -TERM $$\nsleep 60", status: 143},
	{
		name: "terminated behind a foreground command",
		code: "trap 'echo cleaned; exit 143' TERM\nfirst=$(cut -d' ' -f4 /proc/$PPID/stat)\n" +
			"bash -c \"kill -TERM $first; sleep 60\"",
		stdout: "cleaned\n", status: 143,
	},
	{name: "terminated by a subshell", code: "(kill -TERM $$)\nsleep 60", status: 143, noStderr: "run.sh"},
	{
		name: "terminated with a trap",
		code: "trap 'echo cleaned; exit 5' TERM\nkill -TERM $$\nfor i in {1..600}; do sleep 0.1; done", stdout: "cleaned\n",
		status: 5,
	},
	{
		name: "hostile values", document: `{"parameters":{"quotes":"a'b\"c` + "`d`" + `$(touch /tmp/pwned)\\",
			"lines":"x\ny\n","nul":"a\u0000SECRET_fake\u0000b","glob":"*","json":{"a":[1,null,true,"x y"]},
			"big":12.5,"no":false,"none":null,"empty":""},"secrets":{"k":"-n"},"execution":{"env":{}}}`,
		code: `printf '<%s>' "$PARAM_quotes" "$PARAM_lines" "$PARAM_nul" "$PARAM_glob" "$PARAM_json" "$PARAM_big" ` +
			`"$PARAM_no" "$PARAM_none" "$PARAM_empty" "$SECRET_k" "${SECRET_fake-unset}"; ls /tmp/pwned`,
		stdout: "<a'b\"c`d`$(touch /tmp/pwned)\\><x\ny\n" +
			"><aSECRET_fakeb><*><{\"a\":[1,null,true,\"x y\"]}><12.5><false><null><><-n><unset>",
		status: 2, stderr: "No such file",
	},
	{
		name: "names that bash would run", document: `{"parameters":{"a[$(touch /tmp/pwned2)]":"1","dry-run":true,` +
			`"x y":"mapped","x_y":"exact"},"execution":{"env":{"SECRET_s":"leak","PARAM_x_y":"leak",` +
			`"bad name":"1"}},"secrets":{"s":"v"}}`,
		code:   `echo "$PARAM_dry_run $PARAM_x_y $SECRET_s"; env | grep -cE 'SECRET_s|PARAM'; ls /tmp/pwned2`,
		stdout: "true exact v\n0\n", status: 2, stderr: "No such file",
	},
	{
		name: "numbers", document: `{"parameters":{"id":1234567890123456789,"one":1.0,"e":1e400,` +
			`"in":[ {"id": -1234567890123456789} , 1.50E+3 ]}}`,
		code:   `echo "$PARAM_id $PARAM_one $PARAM_e $PARAM_in"`,
		stdout: `1234567890123456789 1.0 1e400 [{"id":-1234567890123456789},1.50E+3]` + "\n",
	},
	{
		name: "characters", document: `{"parameters":{"s":"\u003c\u00f6\ud83d\ude00\ud800\u2028/\/",` +
			`"in":{"k\u003e\n":"\u0000\u001f\\\"\ud83d\ude00\udc00"},"ü":1},"secrets":null}`,
		code:   `echo "$PARAM_s $PARAM_in $PARAM__"`,
		stdout: "<ö😀�\u2028// " + `{"k>\n":"\u0000\u001f\\\"😀�"}` + " 1\n",
	},
	{name: "cut document", document: `{"secrets":{"token":"s3cret`, code: "echo never", status: 1, noStderr: "s3cret",
		stderr: "cannot be read"},
	{name: "broken document", document: "{", code: "echo never", status: 1, stderr: "cannot be read"},
}
