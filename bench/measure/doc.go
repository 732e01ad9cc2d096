// Package measure compares two ways of doing the same thing on one machine, one after the other and back again, so that
// what drifts in the machine drifts for both.
package measure
