DROP TABLE predictions;
DROP TABLE verdicts;
