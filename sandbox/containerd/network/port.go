package network

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/containerd/containerd/v2/pkg/netns"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// States of a port of a bridge, as the kernel numbers them.
const (
	portDisabled   = 0
	portForwarding = 3
)

// insideInterface is the name that CNI gives the interface in a namespace.
const insideInterface = "eth0"

// Disconnect has the bridge drop everything from and to an id, until Connect. The interface inside stays up, so that
// Connect has an effect at once.
func (n *Network) Disconnect(id string) error {
	port, err := n.prepare(id)
	if err == nil {
		err = setPort(port, portDisabled)
	}
	if err != nil {
		return fmt.Errorf("disconnect network namespace: %w", err)
	}
	n.disconnected.Store(id, port)
	return nil
}

// Connect undoes Disconnect.
func (n *Network) Connect(id string) error {
	port, disconnected := n.disconnected.LoadAndDelete(id)
	if !disconnected {
		return nil
	}
	if err := setPort(port.(int), portForwarding); err != nil {
		return fmt.Errorf("connect network namespace: %w", err)
	}
	return nil
}

// prepare tells an id the gateway's hardware address: it would ask in vain before it is connected, and wait a second to
// ask again. It returns the index of the interface on the host, in the bridge, that leads to the id.
func (n *Network) prepare(id string) (port int, err error) {
	bridge, err := netlink.LinkByName(n.bridge)
	if err != nil {
		return 0, err
	}
	paths, err := filepath.Glob(filepath.Join(n.namespaceDir(id), "*"))
	if err != nil {
		return 0, err
	}
	if len(paths) != 1 {
		return 0, errors.New("there is none")
	}
	err = netns.LoadNetNS(paths[0]).Do(func(ns.NetNS) error {
		inside, err := netlink.LinkByName(insideInterface)
		if err != nil {
			return err
		}
		port = inside.Attrs().ParentIndex
		return netlink.NeighSet(&netlink.Neigh{
			LinkIndex: inside.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: n.Gateway().AsSlice(), HardwareAddr: bridge.Attrs().HardwareAddr,
		})
	})
	return port, err
}

func setPort(port int, state uint8) error {
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	message := nl.NewIfInfomsg(unix.AF_BRIDGE)
	message.Index = int32(port)
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	info.AddRtAttr(nl.IFLA_BRPORT_STATE, nl.Uint8Attr(state))
	request.AddData(message)
	request.AddData(info)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
