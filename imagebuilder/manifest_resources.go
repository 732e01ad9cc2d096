package imagebuilder

import (
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"

	"attune"
)

// Bounds of an action's resources. The lower ones are what an interpreter needs to start at all.
const (
	minMemory, maxMemory = 16 << 20, 64 << 30
	minTmp, maxTmp       = 1 << 20, 16 << 30
	minLog, maxLog       = 128 << 10, 1 << 30
	minPids, maxPids     = 4, 32_768
	minCPU, maxCPU       = 0.01, 128
)

var quantity = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|k|K|M|G|T)?$`)

var quantityUnits = map[string]float64{
	"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
}

// resources reads the ceilings of an action and fills in the defaults.
func (p place) resources() attune.Resources {
	r := attune.Resources{
		CPU: attune.DefaultCPU, MemoryBytes: attune.DefaultMemoryBytes, Pids: attune.DefaultPids, TmpBytes: attune.DefaultTmpBytes,
	}
	fields, ok := p.members("cpu", "memory", "pids", "tmp", "log")
	if !ok {
		return r
	}
	r.CPU = fields.at("cpu").cores(r.CPU)
	r.MemoryBytes = fields.at("memory").bytes(r.MemoryBytes, minMemory, maxMemory)
	r.Pids = fields.at("pids").integer(r.Pids, minPids, maxPids)
	r.TmpBytes = fields.at("tmp").bytes(r.TmpBytes, minTmp, maxTmp)
	r.LogBytes = fields.at("log").bytes(0, minLog, maxLog)
	return r
}

// bytes reads a size: a whole number, or one with a unit.
func (p place) bytes(missing, least, most int64) int64 {
	if !p.given() {
		return missing
	}
	var text string
	switch value := p.node.value.(type) {
	case string:
		text = value
	case json.Number:
		text = value.String()
	default:
		p.wrongType("a size such as 256Mi")
		return missing
	}
	parts := quantity.FindStringSubmatch(text)
	if parts == nil {
		p.refuse("must be a size such as 256Mi, 1Gi, 64M or a number of bytes")
		return missing
	}
	n, err := strconv.ParseFloat(parts[1], 64)
	n *= quantityUnits[parts[2]]
	switch {
	case err != nil || n < float64(least) || n > float64(most):
		p.refuse("must be from %s to %s", bytesText(least), bytesText(most))
	case n != math.Trunc(n):
		p.refuse("must be a whole number of bytes")
	default:
		return int64(n)
	}
	return missing
}

// cores reads a share of the processors: 1, 0.5 or "500m".
func (p place) cores(missing float64) float64 {
	if !p.given() {
		return missing
	}
	text, isText := p.node.value.(string)
	if !isText {
		return p.number(missing, minCPU, maxCPU)
	}
	thousandths, ok := strings.CutSuffix(text, "m")
	n, err := strconv.ParseUint(thousandths, 10, 32)
	cores := float64(n) / 1000
	if !ok || err != nil || cores < minCPU || cores > maxCPU {
		p.refuse(`must be a number from %v to %v, or thousandths such as "500m"`, minCPU, maxCPU)
		return missing
	}
	return cores
}
