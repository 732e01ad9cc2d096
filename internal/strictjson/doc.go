// Package strictjson reads JSON that comes from outside, by one rule:
//
//   - the text is UTF-8 and one JSON value, with nothing behind it
//   - no object names a member twice, because readers disagree on which one counts
//   - nothing nests deeper than MaxDepth, and no number is larger than exact arithmetic can afford
//
// An error says where the fault lies, and quotes at most one character of the text, which may hold a secret.
//
// The package must not know what the JSON is about. Start reading at reader.next.
package strictjson
