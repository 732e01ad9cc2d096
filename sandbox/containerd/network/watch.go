package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// restoreTimeout bounds one try to put the rules back, restorePause is the time between two.
	restoreTimeout = 10 * time.Second
	restorePause   = 500 * time.Millisecond
	// eventBytes is more than the kernel puts into one message.
	eventBytes = 64 << 10
)

// watch hears from the kernel when another program removes rules, as `nft flush ruleset` or the reload of a firewall
// does, and puts them back.
type watch struct {
	events *os.File
	cancel context.CancelFunc
	done   chan struct{}
}

// startWatch begins to watch, unless that is done. The caller holds the lock.
func (n *Network) startWatch() error {
	if n.watch != nil {
		return nil
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("watch network rules: %w", err)
	}
	events := os.NewFile(uintptr(fd), "nftables")
	group := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)}
	if err := unix.Bind(fd, group); err != nil {
		return fmt.Errorf("watch network rules: %w", errors.Join(err, events.Close()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{events: events, cancel: cancel, done: make(chan struct{})}
	n.watch = w
	go func() {
		defer close(w.done)
		n.run(ctx, events)
	}()
	return nil
}

// stopWatch returns when nothing is put back any more. The caller does not hold the lock.
func (n *Network) stopWatch() {
	n.mu.Lock()
	w := n.watch
	n.watch = nil
	n.mu.Unlock()
	if w == nil {
		return
	}
	w.cancel()
	_ = w.events.Close()
	<-w.done
}

// run reads events until they are closed.
func (n *Network) run(ctx context.Context, events *os.File) {
	buffer := make([]byte, eventBytes)
	removed := false
	for {
		size, err := events.Read(buffer)
		lost := errors.Is(err, unix.ENOBUFS) // there were too many
		if err != nil && !lost {
			if ctx.Err() == nil {
				slog.Error("the network rules are not watched any more", "bridge", n.bridge, "error", err)
			}
			return
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:max(0, size)])
		if lost || err != nil || n.concerns(messages, &removed) {
			n.restoreInTime(ctx)
			removed = false
		}
	}
}

// Types of messages of nftables.
const (
	newTable = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE
	delTable = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELTABLE
	delChain = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELCHAIN
	delRule  = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELRULE
	newGen   = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN
)

// concerns reports whether a transaction has ended that removed rules of the table. Ours end with a whole new table.
// removed is what the transaction has done so far.
func (n *Network) concerns(messages []syscall.NetlinkMessage, removed *bool) (ended bool) {
	for _, m := range messages {
		switch m.Header.Type {
		case newGen:
			ended = ended || *removed
			*removed = false
		case newTable:
			*removed = *removed && tableOf(m.Data) != n.table
		case delTable, delChain, delRule:
			*removed = *removed || tableOf(m.Data) == n.table
		}
	}
	return ended
}

// tableOf is the name of the table that a message is about: its first kind of attribute, behind a header of four bytes.
func tableOf(data []byte) string {
	const header, nameKind, kindMask = 4, 1, 0x3fff
	for rest := data[min(header, len(data)):]; len(rest) >= unix.SizeofNlAttr; {
		size, kind := int(binary.NativeEndian.Uint16(rest)), binary.NativeEndian.Uint16(rest[2:])&kindMask
		if size < unix.SizeofNlAttr || size > len(rest) {
			return ""
		}
		if kind == nameKind {
			return unix.ByteSliceToString(rest[unix.SizeofNlAttr:size])
		}
		rest = rest[min((size+3)&^3, len(rest)):]
	}
	return ""
}

// restoreInTime puts the rules back, however often that takes. Meanwhile the sandboxes have no network.
func (n *Network) restoreInTime(ctx context.Context) {
	for ctx.Err() == nil {
		err := n.restore(ctx)
		if err == nil {
			return
		}
		slog.Error("sandboxes have no network until the rules are back", "bridge", n.bridge, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(restorePause):
		}
	}
}

// restore closes the bridge, writes the rules, and opens it again. Where there is no bridge, the next Attach writes
// them.
func (n *Network) restore(ctx context.Context) error {
	if _, err := os.Stat("/sys/class/net/" + n.bridge); err != nil {
		return nil //nolint:nilerr // nothing is connected
	}
	err := setLink(n.bridge, false) // at once, even while another call has the lock
	n.mu.Lock()
	defer n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()
	if err = errors.Join(err, n.applyRules(ctx)); err != nil {
		return err
	}
	slog.Warn("another program has removed the network rules of sandboxes; they are back", "bridge", n.bridge)
	return setLink(n.bridge, true)
}

// setLink brings an interface of the thread's namespace up or down.
func setLink(name string, up bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request)
	}
	if err == nil {
		flags := request.Uint16() &^ unix.IFF_UP
		if up {
			flags |= unix.IFF_UP
		}
		request.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return fmt.Errorf("set the state of %s: %w", name, err)
	}
	return nil
}
