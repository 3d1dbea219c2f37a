-- What a worker has done since it started, JSON, for whoever asks for figures.
ALTER TABLE workers ADD COLUMN figures TEXT NOT NULL DEFAULT '{}';
