/* Nothing in here is a program's; some include it. */
