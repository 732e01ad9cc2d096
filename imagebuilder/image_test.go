package imagebuilder

import "testing"

// What programs expect of a system is in every image: time zones, names of hosts, services and protocols, a locale for
// UTF-8, and the folders of manuals, into which Debian packages such as openjdk link theirs.
func TestBaseHasWhatProgramsExpect(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	image, _ := mustBuild(t, b, newPack("expects", nil))
	const script = `set -e
export TZ=Europe/Berlin
date -d @1720000000 '+%H:%M %z %Z'
python=/opt/attune/venv/bin/python
$python -c 'import time; print(time.strftime("%H:%M %z %Z", time.localtime(1720000000)))'
$python -c 'import zoneinfo; print(zoneinfo.ZoneInfo("UTC"))'
node -p 'new Date(1720000000000).toString().slice(16, 33)'
$python -c 'import socket; print(socket.gethostbyname("attune"), socket.gethostbyname("localhost"))'
$python -c 'import socket; print(socket.getservbyname("https"), socket.getprotobyname("icmp"))'
LC_ALL=C.UTF-8 locale charmap
update-alternatives --install /usr/bin/test-tool test-tool /usr/bin/true 1 \
  --slave /usr/share/man/man1/test-tool.1.gz test-tool.1.gz /etc/hostname >/dev/null
readlink /usr/share/man/man1/test-tool.1.gz
ls -d /usr/share/man/man? | wc -l
$python -c 'import pip' 2>&1 | tail -1`
	const want = `11:46 +0200 CEST
11:46 +0200 CEST
UTC
11:46:40 GMT+0200
127.0.0.1 127.0.0.1
443 1
UTF-8
/etc/alternatives/test-tool.1.gz
8
ModuleNotFoundError: No module named 'pip'
`
	if got := runIn(t, b, image, script); got != want {
		t.Errorf("in the image:\n%s\nwant:\n%s", got, want)
	}
}
