DROP TABLE input_gaps;
