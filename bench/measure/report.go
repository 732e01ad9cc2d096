package measure

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// WriteTable writes results for people.
func WriteTable(w io.Writer, results []Result) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "what\tmedian\tmin – max\tpairs\tcontrol A, B\tmust\tgoal\tverdict")
	for _, r := range results {
		must, goal := "–", "–"
		if t := r.Target; t != nil {
			must, goal = t.text(t.Must), t.text(t.Goal)
		}
		fmt.Fprintf(table, "%s\t%.2f\t%.2f – %.2f\t%d\t%.2f, %.2f\t%s\t%s\t%s\n",
			r.Title, r.Median(), r.Min(), r.Max(), len(r.Ratios), r.ControlA, r.ControlB, must, goal, r.verdict())
	}
	fmt.Fprintln(table, "\t\t\t\t\t\t\t")
	fmt.Fprintln(table, "what\tside\ttime each\teach second\tCPU each\t\t\t")
	for _, r := range results {
		for _, side := range []struct {
			name   string
			median Sample
		}{{r.A.Name, r.MedianA}, {r.B.Name, r.MedianB}} {
			cpu := "–"
			if side.median.CPU > 0 {
				cpu = fmt.Sprintf("%.3f ms", milliseconds(side.median.CPU))
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t\t\t\n", r.Title, side.name,
				side.median.Time.Round(100*time.Nanosecond), rate(side.median), cpu)
		}
	}
	return table.Flush()
}

// WriteLines writes results for programs, "name value unit" each. The value of a comparison whose control failed is
// "unusable". Processor time is left out where it was not measured.
func WriteLines(w io.Writer, results []Result) error {
	for _, r := range results {
		value := fmt.Sprintf("%.3f", r.Median())
		if !r.Usable() {
			value = "unusable"
		}
		_, err := fmt.Fprintf(w, "%[1]s %[2]s ratio\n%[1]s_a %[3]s 1/s\n%[1]s_b %[4]s 1/s\n",
			r.Name, value, rate(r.MedianA), rate(r.MedianB))
		if err == nil && r.MedianA.CPU > 0 {
			_, err = fmt.Fprintf(w, "%[1]s_cpu_a %.4[2]f ms\n%[1]s_cpu_b %.4[3]f ms\n",
				r.Name, milliseconds(r.MedianA.CPU), milliseconds(r.MedianB.CPU))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r Result) verdict() string {
	switch {
	case !r.Usable():
		return "unusable: the machine was not quiet"
	case r.Target == nil:
		return ""
	case r.Target.reached(r.Median(), r.Target.Goal):
		return "goal"
	case r.Target.Must == 0:
		return ""
	case r.Target.reached(r.Median(), r.Target.Must):
		return "met"
	default:
		return "MISSED"
	}
}

func (t Target) reached(value, bound float64) bool {
	if t.AtMost {
		return value <= bound
	}
	return value >= bound
}

func (t Target) text(bound float64) string {
	switch {
	case bound == 0:
		return "–"
	case t.AtMost:
		return fmt.Sprintf("≤ %g", bound)
	default:
		return fmt.Sprintf("≥ %g", bound)
	}
}

// rate has decimals where it is small.
func rate(s Sample) string {
	if s.Rate() < 100 {
		return fmt.Sprintf("%.3f", s.Rate())
	}
	return fmt.Sprintf("%.1f", s.Rate())
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
