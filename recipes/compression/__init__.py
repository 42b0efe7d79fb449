"""How far JPEG 2000 can go before a classifier suffers (Jo et al. 2021)."""
