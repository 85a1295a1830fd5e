DROP TABLE pattern_vectors;
DROP TABLE pattern_scalers;
DROP TABLE pattern_cases;
DROP EXTENSION vector;
