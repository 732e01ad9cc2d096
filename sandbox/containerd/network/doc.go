// Package network connects sandboxes and build containers to the internet, and to nothing else.
//
// Start at Open and Network.Attach, then read firewall.go for the rules. A Network makes network namespaces. It must
// not know what runs in them.
package network
