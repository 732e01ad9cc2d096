package pack

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"attune"
	"attune/internal/size"
)

// Lower bounds of an action's resources: what an interpreter needs to start at all.
const (
	minMemory    = 16 << 20
	minTmp       = 1 << 20
	minTmpFiles  = 64
	minOpenFiles = 64
	minLog       = 128 << 10
	minPids      = 4
	minCPU       = 0.01
)

// mostResources are the upper bounds where the operator sets none.
var mostResources = attune.Resources{
	CPU: 128, MemoryBytes: 64 << 30, Pids: 32_768, TmpBytes: 16 << 30, TmpFiles: 1 << 20, OpenFiles: 1 << 16, LogBytes: 1 << 30,
}

// ParseCeilings reads the operator's upper bounds, in the words of an action's file: "memory: 1Gi, pids: 256".
func ParseCeilings(text string) (attune.Resources, error) {
	node, wrong := parseYAML([]byte("{" + text + "}"))
	r := &manifestReader{}
	if wrong != nil {
		r.problems = append(r.problems, *wrong)
	}
	top := place{r: r, node: node, field: "resources"}
	for _, ceiling := range top.entries() {
		ceiling.required()
	}
	ceilings := top.readResources(mostResources, mostResources)
	if len(r.problems) > 0 {
		return ceilings, fmt.Errorf("ceilings %q: %w", text, attune.Invalid("they must read as in an action's file: memory: 1Gi, pids: 256", r.problems...))
	}
	return ceilings, nil
}

var quantity = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|k|K|M|G|T)?$`)

var quantityUnits = map[string]float64{
	"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
}

// resources reads what an action asks for and fills in the defaults, which never are more than the most.
func (p place) resources(most attune.Resources) attune.Resources {
	r := p.readResources(attune.Resources{
		CPU: min(attune.DefaultCPU, most.CPU), MemoryBytes: min(attune.DefaultMemoryBytes, most.MemoryBytes),
		Pids: min(attune.DefaultPids, most.Pids), TmpBytes: min(attune.DefaultTmpBytes, most.TmpBytes),
	}, most)
	if r.TmpFiles == 0 && most.TmpFiles < attune.DefaultTmpFiles {
		r.TmpFiles = most.TmpFiles
	}
	if r.OpenFiles == 0 && most.OpenFiles < attune.DefaultOpenFiles {
		r.OpenFiles = most.OpenFiles
	}
	return r
}

func (p place) readResources(missing, most attune.Resources) attune.Resources {
	fields, ok := p.members("cpu", "memory", "pids", "tmp", "tmp_files", "open_files", "log")
	if !ok {
		return missing
	}
	return attune.Resources{
		CPU:         fields.at("cpu").cores(missing.CPU, most.CPU),
		MemoryBytes: fields.at("memory").bytes(missing.MemoryBytes, minMemory, most.MemoryBytes),
		Pids:        fields.at("pids").integer(missing.Pids, minPids, most.Pids),
		TmpBytes:    fields.at("tmp").bytes(missing.TmpBytes, minTmp, most.TmpBytes),
		TmpFiles:    fields.at("tmp_files").integer(missing.TmpFiles, minTmpFiles, most.TmpFiles),
		OpenFiles:   fields.at("open_files").integer(missing.OpenFiles, minOpenFiles, most.OpenFiles),
		LogBytes:    fields.at("log").bytes(missing.LogBytes, minLog, most.LogBytes),
	}
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
		p.refuse("must be from %s to %s", size.Exact(least), size.Exact(most))
	case n != math.Trunc(n):
		p.refuse("must be a whole number of bytes")
	default:
		return int64(n)
	}
	return missing
}

// cores reads a share of the processors: 1, 0.5 or "500m".
func (p place) cores(missing, most float64) float64 {
	if !p.given() {
		return missing
	}
	text, isText := p.node.value.(string)
	if !isText {
		return p.number(missing, minCPU, most)
	}
	thousandths, ok := strings.CutSuffix(text, "m")
	n, err := strconv.ParseUint(thousandths, 10, 32)
	cores := float64(n) / 1000
	if !ok || err != nil || cores < minCPU || cores > most {
		p.refuse(`must be a number from %v to %v, or thousandths such as "500m"`, minCPU, most)
		return missing
	}
	return cores
}
