package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
)

// parseParameters turns the -p flags of a run into the parameters of the request: name=value gives a string,
// name:=json any JSON value, name:=@file the JSON in a file.
func parseParameters(flags []string) (map[string]json.RawMessage, error) {
	parameters := make(map[string]json.RawMessage, len(flags))
	for _, flag := range flags {
		name, value, ok := strings.Cut(flag, "=")
		if !ok {
			return nil, usagef("-p %s: write name=value, or name:=json for a value that is not a string", flag)
		}
		name, isJSON := strings.CutSuffix(name, ":")
		if name == "" {
			return nil, usagef("-p %s: the parameter has no name", flag)
		}
		if _, given := parameters[name]; given {
			return nil, usagef("-p %s: the parameter %s is given twice", flag, name)
		}
		parse := parseString
		if isJSON {
			parse = parseJSON
		}
		document, err := parse(value)
		if err != nil {
			return nil, usagef("-p %s: %v", flag, err)
		}
		parameters[name] = document
	}
	return parameters, nil
}

func parseString(value string) (json.RawMessage, error) { return json.Marshal(value) }

func parseJSON(value string) (json.RawMessage, error) {
	document := []byte(value)
	if path, isFile := strings.CutPrefix(value, "@"); isFile {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		document = content
	}
	if !json.Valid(document) {
		return nil, errors.New("must be JSON after :=, such as 3, true, [1,2] or \"text\", or @ and a file with JSON")
	}
	return document, nil
}
