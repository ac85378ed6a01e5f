# Everything a fresh machine needs is python3 with venv, and make.
PYTHON ?= python3
RUN = .venv/bin/python
BUNDLE = bundles/crf_gan_luna16/configs

.PHONY: demo test check gpu

# train CRF-GAN briefly on built-in phantoms, then generate volumes
demo: .venv/installed
	$(RUN) -m monai.bundle run --config_file $(BUNDLE)/train.json
	$(RUN) -m monai.bundle run --config_file $(BUNDLE)/inference.json

test: .venv/installed check
	$(RUN) -m pytest -n 2 --dist loadgroup

check: .venv/installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

# check and measure on a GPU of CUDA; says that it skips everything where there is none
gpu: .venv/installed
	$(RUN) -m tools gpu

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --requirement requirements.txt
	touch $@
