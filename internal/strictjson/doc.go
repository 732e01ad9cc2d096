// Package strictjson reads JSON that comes from outside, by one rule:
//
//   - the text is UTF-8 and one JSON value, with nothing behind it
//   - no string has half of a surrogate pair, which not every reader can read
//   - no object names a member twice, because readers disagree on which one counts
//   - nothing nests deeper than MaxDepth, a text has at most MaxValues values, and no number is larger than exact
//     arithmetic can afford
//
// A Document takes at most twelve times the memory of its text, whatever that is. Reserve bounds what all documents
// take at one time.
//
// An error says where the fault lies. It quotes a bounded part of names, and at most one character of anything else in
// the text, which may hold a secret.
//
// The package must not know what the JSON is about. Start reading at Parse.
package strictjson
