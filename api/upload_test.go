package api_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"attune"
	"attune/api"
)

func gunzip(t *testing.T, compressed []byte) []byte {
	t.Helper()
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestUploadRefusesBadForms(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *api.Config) { c.Limits.ArchiveBytes = 100 << 10 })
	media, body := form(t, "file", []byte("x"))
	other, otherBody := form(t, "files", []byte("x"))
	_, boundary, _ := strings.Cut(media, "boundary=")
	twice := strings.TrimSuffix(body, "--\r\n") + "\r\n" + body
	long, longBody := form(t, "file", bytes.Repeat([]byte("x"), 101<<10))
	longer, longerBody := form(t, "file", bytes.Repeat([]byte("x"), 1<<20))
	tests := map[string]struct {
		media, body string
		status      int
		code        attune.Code
	}{
		"JSON":           {"application/json", `{}`, 400, attune.CodeMalformed},
		"no boundary":    {"multipart/form-data", body, 400, attune.CodeMalformed},
		"other name":     {other, otherBody, 400, attune.CodeMalformed},
		"two files":      {media, twice, 400, attune.CodeMalformed},
		"no part":        {media, "--" + boundary + "--\r\n", 400, attune.CodeMalformed},
		"cut off":        {media, body[:len(body)-20], 400, attune.CodeMalformed},
		"too large":      {long, longBody, 413, attune.CodeTooLarge},
		"much too large": {longer, longerBody, 413, attune.CodeTooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := wantProblem(t, s.do(http.MethodPost, "/api/v1/packs/upload", test.body, contentType(test.media)), test.status,
				test.code)
			if test.status == 413 && !strings.Contains(p.Detail, "102400") {
				t.Errorf("the limit is not named: %s", p.Detail)
			}
			s.wantEmptyStaging()
		})
	}
}

func TestStalledUploadIsCut(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *api.Config) { c.SendTimeout = 100 * time.Millisecond })
	conn := s.dial()
	fmt.Fprintf(conn, "POST /api/v1/packs/upload HTTP/1.1\r\nHost: attune\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n", s.admin)
	part := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\nbeginning"
	fmt.Fprintf(conn, "%x\r\n%s\r\n", len(part), part)

	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusRequestTimeout {
		t.Errorf("got %d", response.StatusCode)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the connection was not closed: %v", err)
	}
	s.wantEmptyStaging()
}

func TestEndlessUploadIsCut(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *api.Config) { c.Limits.ArchiveBytes = 1 << 20 })
	conn := s.dial()
	fmt.Fprintf(conn, "POST /api/v1/packs/upload HTTP/1.1\r\nHost: attune\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n", s.admin)
	part := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"
	fmt.Fprintf(conn, "%x\r\n%s\r\n", len(part), part)
	chunk := fmt.Appendf(nil, "10000\r\n%s\r\n", bytes.Repeat([]byte("x"), 0x10000))
	var sent int
	for ; sent < 1000; sent++ {
		if _, err := conn.Write(chunk); err != nil {
			break // The service has hung up.
		}
	}
	if sent == 1000 {
		t.Error("the service took 64 MiB of an archive of at most one")
	}
	s.wantEmptyStaging()
}

// dial opens a bare connection, which the test bounds.
func (s *service) dial() net.Conn {
	s.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// TestUploadForAnotherPackIsNotUnpacked: its token is refused before its archive costs disk.
func TestUploadForAnotherPackIsNotUnpacked(t *testing.T) {
	t.Parallel()
	s := setup(t)
	files := packFiles("weather", "1.0.0")
	files["zeros"] = strings.Repeat("\x00", 20<<20)
	archive := targz(t, files)
	other := s.token(attune.RoleAdmin, "other")
	var uploads sync.WaitGroup
	for range 12 {
		uploads.Go(func() { wantProblem(t, s.upload(archive, as(other)), 403, attune.CodeForbidden) })
	}
	uploads.Wait()
	delete(files, "pack.yaml")
	wantProblem(t, s.upload(targz(t, files), as(other)), 403, attune.CodeForbidden)
	if n := s.metric("attune_uploads_unpacked_bytes_total"); n != 0 {
		t.Errorf("%v bytes were unpacked", n)
	}
	s.wantEmptyStaging()
	wantStatus(t, s.upload(archive, as(s.token(attune.RoleAdmin, "weather"))), 202)
	if n := s.metric("attune_uploads_unpacked_bytes_total"); n < 20<<20 {
		t.Errorf("%v bytes were unpacked", n)
	}
}

// TestUploadsShareRoom: archives that are on their way take all the room there is, and the next one is told when to
// come again.
func TestUploadsShareRoom(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *api.Config) {
		c.Limits.ArchiveBytes = 1 << 20
		c.AnswerTimeout = 4 * time.Second
	})
	archive := targz(t, packFiles("weather", "1.0.0"))
	var stalled []net.Conn
	for _, token := range []string{s.token(attune.RoleAdmin), s.token(attune.RoleAdmin)} {
		for range 4 {
			stalled = append(stalled, s.begin(token, http.MethodPost, "/api/v1/packs/upload",
				"Content-Type: multipart/form-data; boundary=b", "Transfer-Encoding: chunked"))
		}
		s.await("four more", func() bool { return s.metric("attune_uploads_bytes") == float64(len(stalled)<<20) })
		wantProblem(t, s.upload(archive, as(token)), 429, attune.CodeRejected)
	}
	a := s.upload(archive)
	wantProblem(t, a, 503, attune.CodeUnavailable)
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.await("three refusals", func() bool { return s.metric("attune_uploads_refused_total") == 3 })
	for _, conn := range stalled {
		_ = conn.Close()
	}
	s.await("room", func() bool { return s.metric("attune_uploads_bytes") == 0 })
	wantStatus(t, s.upload(archive), 202)
}
