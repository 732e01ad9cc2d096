package history

// checkQueues checks the queues that a transaction changed: their counts agree with their waiting executions, and
// admission considers all of these.
func (c *checker) checkQueues(t Transaction) {
	touched := make(map[string]bool)
	for _, change := range t.Changes {
		for _, row := range []Row{change.Old, change.New} {
			switch change.Table {
			case "waiting", "heads":
				touched[row["queue_id"]] = true
			case "queues":
				touched[row["id"]] = true
			}
		}
	}
	delete(touched, "")
	for queue := range touched {
		c.checkQueue(queue)
	}
}

func (c *checker) checkQueue(queue string) {
	q, h := c.queues[queue], c.heads[queue]
	waiting := int64(0)
	for id, row := range c.waiting {
		if row["queue_id"] != queue {
			continue
		}
		waiting++
		if row.number("ticket") > h.number("passed") {
			continue
		}
		if until, overdue := c.overdue[id]; !overdue || until != row["wait_until"] {
			c.violate(RuleCount, "execution %s waits in queue %s with ticket %s, and admission looks only behind ticket %s",
				id, queue, row["ticket"], h["passed"])
		}
	}
	if counted := q.number("entered") - h.number("departed"); counted != waiting {
		c.violate(RuleCount, "queue %s counts %s entered and %s departed, and %d wait", queue, q["entered"], h["departed"],
			waiting)
	}
	if waiting > 0 && q["busy"] != "true" {
		c.violate(RuleCount, "%d wait in queue %s, which is not marked as busy", waiting, queue)
	}
}
