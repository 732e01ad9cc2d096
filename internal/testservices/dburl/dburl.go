// Package dburl lets tests reach a private PostgreSQL over TCP, where they can put a proxy in between.
package dburl

import (
	"fmt"
	"net"
	"net/url"
)

// Listen is the setting that makes PostgreSQL listen on loopback, too.
const Listen = "listen_addresses=127.0.0.1"

// OverTCP turns the URL of a private PostgreSQL, which leads to its socket, into one of the same port.
func OverTCP(databaseURL string) (string, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return "", fmt.Errorf("read database URL: %w", err)
	}
	query := u.Query()
	u.Host = net.JoinHostPort("127.0.0.1", query.Get("port"))
	query.Del("host")
	query.Del("port")
	u.RawQuery = query.Encode()
	return u.String(), nil
}
